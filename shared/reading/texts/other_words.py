"""Names of numbers that stand beside measurements and are none, compact and in lower case. Data only."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CODES = _names(
    """
    asdu cluster ioa medium pgn rorg sa spn squawk wmo coco addr address ano auftrag batch batchnumber baureihe
    bay bus cavity ch chan channelno charg charge cid cod code codigo codice dest dev did equipo errcode error
    errorcode errorno event eventcode evt fc fcode fehler func function funccode functioncode gateway gw hop
    hops installation itemno job jobno kanal kode kostenstelle kunde lgort lfd ligne linea linie lot lotno losnr
    machine machineno maquina maschine matnr mid modul module mp mpid msgtype node nodo numero numéro oper
    operation operario operator order orderno part partno pallet pin phase plc po port prio priority pos posten
    poste produkt product program programm programme projekt project puesto rack recipe reg register rezept role
    route row rtu run schicht schrank shift sid site slave slaveid slot spindle stationno status statuscode step
    stepno stn subtype ticket tid tool turno typ type unitid werk werks werkzeug wkz wo wono workorder worker
    zelle zone
    """
)
ENTITIES = _names(
    """
    address adresse ansatz carril endpoint icon job messstelle station_ voie agent aisle mode modus animal
    articolo article articulo artikel asset atelier axis bin block booth branch cashier cell cell_ circuit
    commande cow crew customer desk die dlc dock dpt driver employee equipe equnr experiment feeder gate head
    icao imo instance inverter kunde lane lijn lote lotto macchina maquina mitarbeiter mmsi mold mould navstat
    object objectinstance objecttype operador orden ordem ordine ordre panel parcel patient pedido personal
    pieza pieza_ plate ploeg plot produit producto protocol prüfling replicate reparto robot runno sample_ seat
    shelf shop specimen step store string subject team test tester train trial truck trolley turbine user
    vehicle vessel_ warehouse well worker zona
    """
)
"""Things that are numbered: as the last word of a name, whole numbers say which of them."""
"""Whole numbers under these names say which order, machine, place, kind or state."""
CODE_ENDINGS = ("nr", "nummer", "numero", "number", "code", "kode", "codigo", "kennung", "nbr")
LIMITS = _names(
    """
    consigna consigne grenze grenzwert hh hihi hilimit hlimit lcl desired limit limits ll llimit lolimit lolo
    lsl nominal nominalvalue obergrenze untergrenze rated schwelle setpoint setpt setval setvalue setvalor soll
    sollwert sp target targetvalue threshold thresholds tol tolerance ucl usl wanted wtarget sollwerte
    """
)
LIMIT_WORDS = _names(
    """
    desired consigna consigne grenze grenzwert hihi lcl limit limite limits lolo lsl setpoint sollwert target
    schwelle seuil setpoints soglia targets threshold thresholds tol tolerance ucl umbral usl
    """
)
ALARM_WORDS = _names("alarm alarms alert crit critical warn warning eng range scale span spec trip")
BOUND_WORDS = _names("hi high hh lo low ll max maximum min minimum upper lower h l hihi lolo")
STYLES = _names(
    """
    alpha background barpercentage barthickness border categorypercentage circumference clip color colors colour
    cubicinterpolationmode customdata dash dashoffset fill fillcolor fillopacity font fontsize gap height hidden
    hoverinfo hovertemplate hovertext ids labelfontsize legendindex legendrank linewidth lineWidth marker
    markersize opacity order padding pull radius rotation selected shape size sizes spacing stack steps
    strokewidth symbolsize tension text textangle textfont textposition texttemplate weight width xaxisindex
    yaxisindex zlevel zorder
    """
)
"""What styles a chart, where it stands beside the values of a drawing."""
STYLE_ENDINGS = ("radius", "width", "opacity", "size", "color", "colors", "rotation", "dash", "font", "thickness")
NO_READINGS = _names(
    """
    duration durationms age attempts attemptsmade balance bytesfree concurrency delay discount dueamount elapsed
    embedding fontsize free generation gross heapused heaptotal interval items left limit lineheight maxtokens
    net netamount opacity pagecount pid port priority progress qty rank remaining replicas reset retries
    revision score seats shipping size statuscode stock stockcount subtotal success tax taxamount timeout
    timeoutms tokens top topk topp total totalamount totalprice totaltokens prompttokens completiontokens
    unreadcount used vat width workers x y zoom
    """
)
"""Numbers of carts, invoices, jobs, settings, pages and processes, which alone make no reading."""
UNTIMED_NO_READINGS = _names(
    """
    amount cost coverage quantity  height percent price rate rating responsetime responsetimems
    unitprice usedpercent weight
    """
)
"""Numbers that make no reading without a time either."""
COMMERCE = _names("amount discount due fee invoice paid payment refund shipping subtotal tax vat")
"""Words of accounts in the names of numbers."""
SCALES = _names("decimals divisor exponent factor multiplier scale scaler scaling")
"""Numbers beside a value that it has to be multiplied with."""
STATISTICS = _names("count mean std min max 25 50 75 median var sem skew unique top freq q1 q3 nullcount")
ZONES = _names(
    """
    exchangetimezone ianatimezone localtimezone olson timezone timezoneid timezonename tz tzid tzname zoneid
    wwtimezone
    """
)
"""Names of members that name the zone of times beside them."""
OFFSETS = {
    "utcoffsetseconds": 1.0, "gmtoffset": 1.0, "utcoffsetsec": 1.0, "timezoneoffsetseconds": 1.0, "dstoffset": 1.0,
    "utcoffsetminutes": 60.0, "utcoffsetmin": 60.0, "utcoffsethours": 3600.0, "tzoffset": 3600.0, "utcoffset": 0.0,
    "offsetseconds": 1.0, "tzoffsetseconds": 1.0,
}  # fmt: skip
"""Members that give the offset of times beside them from UTC, and the seconds of their unit; 0 where only texts say."""
