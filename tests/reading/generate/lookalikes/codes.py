"""Whole numbers that say which order, machine, place or code: never a series of their own."""

from lookalikes.readings import FLOW, ISO, MS, SPACED, TEMP, TWO, N, every, theme, truth

HAND = "hand-written service"


def wide(kinds, name, source, more, expected=TWO, **how):
    theme.add(
        kinds,
        name,
        source,
        [{"ts": ISO[i], **more(i), "temp": TEMP[i], "flow": FLOW[i]} for i in range(N)],
        expected,
        **how,
    )


wide(
    "bc", "order and machine numbers in German", "MES export", lambda i: {"Auftragsnr": 4711 + i // 4, "Maschinennr": 3}
)
wide("bc", "a running number in Spanish", HAND, lambda i: {"numero": 880 + i})
wide("bc", "lot and batch number", HAND, lambda i: {"lot": 260301, "batch_no": 17 + i // 6})
wide("b", "gateway, device and rack", HAND, lambda i: {"gw": 2, "dev": 14 + i % 2, "rack": 1, "slot": 4})
wide("bc", "error and status codes", HAND, lambda i: {"err_code": 0 if i != 5 else 17, "status_code": 200})
wide("c", "line, station and tank", HAND, lambda i: {"line": 2, "station": 40, "tank": 7})
wide("b", "a word that nobody knows", HAND, lambda i: {"zorb": 3 + i // 7}, None, refuse="zorb")
wide("b", "recipe and shift", HAND, lambda i: {"recipe": 12, "shift": 1 + i // 6, "operator": 504})
wide(
    "b",
    "whole numbers that are measured",
    HAND,
    lambda i: {"humidity": 45 + i % 3, "rpm": 1480},
    {**TWO, **truth(humidity=[45 + i % 3 for i in range(N)], rpm=[1480] * N)},
)

for field, place in (("ch", "channel"), ("mid", "measuring point"), ("slot", "slot")):
    theme.add(
        "bc",
        f"value beside a {place} number",
        HAND,
        [{"ts": ISO[i], field: 1 + i % 2, "val": TEMP[i]} for i in range(N)],
        {"1": every(TEMP, 0, 2), "2": every(TEMP, 1, 2)},
        or_refuse=True,
        alt=[truth(val=TEMP), {f"{field} 1": every(TEMP, 0, 2), f"{field} 2": every(TEMP, 1, 2)}],
        doubt="Two places: two series named by their number, one of all values, or a refusal; never the number itself.",
    )
theme.add(
    "b",
    "machine, line and err_code beside val",
    HAND,
    [{"time": ISO[i], "machine": 7, "line": 2, "val": FLOW[i], "err_code": 0} for i in range(N)],
    truth(val=FLOW),
    alt=[truth(value=FLOW), truth(**{"7": FLOW})],
    or_refuse=True,
)
theme.add(
    "bc",
    "SAP goods movements",
    "SAP NetWeaver Gateway OData v2 (MSEG)",
    {
        "d": {
            "results": [
                {
                    "MATNR": "000000000010004711",
                    "WERKS": "1000",
                    "LGORT": "0001",
                    "CHARG": "0000012345",
                    "ERFMG": f"{FLOW[i]:.3f}",
                    "ERFME": "KG",
                    "BUDAT_MKPF": f"/Date({MS[i]})/",
                }
                for i in range(N)
            ]
        }
    },
    truth(ERFMG=FLOW),
    alt=[truth(**{name: FLOW}) for name in ("000000000010004711", "0000012345", "1000", "0001")],
    or_refuse=True,
)
theme.add(
    "bc",
    "Wonderware history",
    "AVEVA Historian, table Runtime.dbo.History",
    [
        {
            "DateTime": f"{SPACED[i]}.0000000",
            "TagName": "TT101.PV",
            "Value": TEMP[i],
            "vValue": str(TEMP[i]),
            "Quality": 0,
            "QualityDetail": 192,
            "OPCQuality": 192,
            "wwTagKey": 1154,
            "wwResolution": 60000,
            "wwRowCount": 12,
            "wwTimeZone": "UTC",
            "wwVersion": "LATEST",
        }
        for i in range(N)
    ],
    truth(**{"TT101.PV": TEMP}),
    alt=[truth(Value=TEMP)],
)
theme.add(
    "bc",
    "CSV of a machine log",
    "German MES, CSV",
    "Zeit;Auftrag;Maschine;Charge;Temperatur\n"
    + "".join(f"{SPACED[i]};{100200 + i // 5};{12};{7701};{TEMP[i]}\n".replace(".", ",") for i in range(N)),
    truth(Temperatur=TEMP),
)
