"""Words that tell that a name speaks of something measured. Data, and the question about a name.

A name without any of them is not wrong, only unknown: whole numbers under it may be a code as well as a measurement.
"""

import re
from functools import lru_cache

from shared.reading.texts.name_words import words

_STEMS = """
acce active aerosol air airflow ampe ampl ampere angle area aufnahme battery bias brightness byte capacity
carbon celsius chlor cloud clock coeff concentr conduct consum consumo cooling counter count cpu current
curvature damp debit decibel deflect deform demand densi depth dewpoint dioxid discharge displace distance
drehmoment drehzahl druck duration durchfluss duty effici emission energ enthalp entrop error_rate esp exhaust
expos feed_rate feuchte flow flux force freq frequen fuel fuellstand füllstand gain generat geschwind gewicht
gust hardness heat heating height hum humedad humidit illum impedance impuls induct intens irradi kapaz lambda
latency leak leakage leistung length level load lumin luminos lux mass masse memory menge methan microns moist
moment movement nivel niveau nitr noise number_of occupancy offset_error opacity opening output oxid oxyg ozone
packets particl pegel percent perm heading course pitch pm10 pm25 poids position potencia power precip presion
press pression pressure price produc pulse puissance radiat radon rain ratio reactive redox refract requests
resist response rpm rotation roll saldo salin satur sealevel signal slope snow solar sound spannung speed spend
spread stand stock strain stress strom sulfur sulph sunshine swell temp tension temperatur tide tilt throughput
torque torsion total traffic turb turbid uptime usage utiliz utilis vacuum velocidad velocity vent vibrat visco
vitesse visib vitesse voltage volum volt vuoto water wave weight wert wind yaw yield zaehler zähler
"""
_WORDS = """
hr cad free available occupied umidita umidità override feed_override hm
a ac amp amps aqi ah atm avg bar bat batt battery bpm btu c cd cfm ch4 cl cl2 cm cnt co co2 co2e cod db dba dbm
dc deg degc degf degrees dew do dp dpm ec f fan fps ft ftu g gas gpm h2 h2o h2s hp hpa hum humi hz ir joule k kg
khz km kmh kn kpa kva kvar kvarh kw kwh l lpm lm lph lqi lux m m2 m3 m3h ma mah mbar mg mhz ml mm mol mpa mph
mps mv mw mwh n2 nh3 nh4 nm no no2 no3 nox ntu o2 o3 op opm oil orp pa pb pct ph pm pm1 pm2 pm4 pm10 pm25 pop
ppb ppm ppt psi psu pv r rad rain rate rh rms rpm rssi signal snr so2 soc soh sog sox spd sun sv t tds thd toc
tsp tss tvoc u ug uv uvi v va vac var vbat vdc voc vol vpd vwc w wh wifi wind ca fe rhum mn na nh po4 pump valve
ventil pumpe vanne starts cycles events people persons visitors vehicles cars items_per_minute units_produced
pieces parts_made sales revenue expenses quantity_produced uv_index powr enwh fill filling full empty
charge_level deg all feels_like ice sea surge tide swell lai ndvi par ppfd reporting disk inlet outlet bypass
supply return mem swap net export import grid agit agitator stirrer mixer blower heater linkquality wdir hdg dir
winddir enthalpy entropy sat saturation gh dni dhi ghi co2eq iaq gasresistance methane propane butane hcho ch2o
"""
_STEM_SET = tuple(stem for stem in dict.fromkeys(_STEMS.split()) if len(stem) > 3 and "_" not in stem)
_WORD_SET = frozenset(_WORDS.split()) | {stem for stem in _STEMS.split() if len(stem) <= 3}


_TAG = re.compile(r"[A-Z]{1,4}[-_ ]?[0-9]{1,5}[A-Z]?(?:[._](?:PV|OUT|MEAS|VAL|Value))?")
"""The tag of an instrument, such as TT-101 or AI0 (ISA 5.1)."""
_NO_COUNTS = (
    "status",
    "address",
    "class",
    "process",
    "access",
    "bus",
    "pos",
    "basis",
    "canvas",
    "alias",
    "focus",
    "ss",
    "us",
    "is",
)
_LEAST_COUNT_CHARS = 5


@lru_cache(4096)
def speaks(name: str) -> bool:
    """Whether a name is that of something measured or counted, or an instrument's tag."""
    if measured(name) or _TAG.fullmatch(name):
        return True
    last = words(name)[-1:]
    return (
        bool(last)
        and len(last[0]) >= _LEAST_COUNT_CHARS
        and last[0].endswith(("s", "ed"))
        and not last[0].endswith(_NO_COUNTS)
    )


@lru_cache(4096)
def measured(name: str) -> bool:
    """Whether a word of the name is that of a measured quantity or a unit."""
    parts = words(name)
    for part in parts:
        bare = part.rstrip("0123456789")
        if part in _WORD_SET or (bare in _WORD_SET and (len(bare) > 2 or bare == "pm")):
            if len(bare) > 1 or len(parts) > 1:  # a letter alone is no unit
                return True
            continue
        if any(part.startswith(stem) or (len(stem) > 4 and stem in part) for stem in _STEM_SET):
            return True
    return False
