"""Names that people give to columns and members, by role: compact (without separators) and in lower case. Data only.

Short words are English, with the German, French, Spanish, Italian, Dutch and Danish for time and value.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _ranked(*texts: str) -> dict[str, int]:
    """The place of each name in the order of the texts: the lowest is the best evidence."""
    return {name: rank for rank, text in enumerate(texts) for name in text.split()}


TIMES = _ranked(
    """
    at clock collectedat dateandtime dateheure datelocal dates datetime datetimes datetimeutc datumuhrzeit datumzeit
    devicetime devicetimestamp dt epoch epochms epochseconds epochtime eventtime eventtimestamp fechahora
    horodatage instant localtime localtimestamp measuredat measurementtime measuretime observationtime
    observedat observedtime phenomenontime readat readingtime readtime recordedat recordedtime recordtime
    resulttime sampledat sampletime sensortime sourcetime sourcetimestamp takenat tijdstip time timegenerated
    timelocal timems times timestamp timestampms timestampns timestamps timestampus timestamputc timeutc ts tsms
    tsns tsus unixtime unixtimestamp utc utctime when zeit zeitpunkt zeitstempel
    """,
    """
    bucket d dag date datekey datum day fecha giorno hour interval jour key keyasstring moment month period
    samplingtime t timebucket timeinterval timekey windowstart x
    """,
    """
    begin created createdat createdate createdon createdtime creationdate creationtime dato from gatewaytime
    intervalstart lastchanged lasttime loggedat logtime occurredat periodstart published publishedat sent sentat
    senttime servertime servertimestamp start startat startdate startedat startsat starttime timefrom
    """,
    """
    arrival arrivedat brokertime enqueuedat enqueuedtime eventenqueuedutctime eventprocessedutctime hosttime
    ingested ingestedat ingestiontime ingesttime inserted insertedat iothubenqueuedtime lastmodified lastupdate
    lastupdated modified modifiedat modifiedon processed processedat received receivedat receivedtime stored
    storedat synced syncedat systemtime updated updatedat updatedon updatetime
    """,
    """
    end endat enddate endedat endtime finishedat intervalend periodend stop till timeto to until windowend
    """,
)
"""When a value was measured; then other starts; creation; arrival; ends."""
LABELS = _ranked(
    """
    __name__ _field analyte bn channelname component datapointname datatype_ displayname fieldname measurand
    measure measurementname measurementtype measurename metric metrickey metricname metrictype n name__
    observable observedproperty param parameter parametername paramname point pointname pollutant property
    propertyname quantity readingtype sensortype series seriesname signal signalname species tag tagname target
    topic variable variablename
    """,
    """
    attribute attributename indicator caption counter countername dataset field friendlyname item itemname key label
    legend name objectname symbol text title
    """,
    """
    _measurement alias category channelid class description entityid group kind measurement metricid nodeid
    parameterid path pointid seriesid signalid subject tagid type variableid webid
    """,
)
"""What names the measured quantity; then any name; then kinds and addresses."""
NEVER_TIMES = _names(
    """
    birthday calibratedat calibrationdate deleted deletedat due dueat duedate expiration expirationtime expire
    expires expiresat expiry installdate installedat lastcalibration nextcalibration nextupdate revalidate
    staleat ttl validto validuntil
    """
)
"""Times that say when something ends or was done to the device, never when a value was measured."""
VALUES = _names(
    """
    actualvalue amount currentvalue data datapoint decimalvalue doublevalue fieldvalue floatvalue int64value
    integervalue intvalue longvalue measuredval measuredvalue measurement measurementvalue messwert metricvalue
    number numbervalue numericvalue numvalue observation payload pointvalue processvalue rawvalue reading
    readingvalue result scalar sensorvalue simplevalue state tagvalue v val valeur valor valore value
    valuedouble valuefloat valuenum valuenumeric values waarde wert y
    """
)
"""Names that say only that something is a value."""
VALUE_WORDS = _names(
    """
    actual analog current dbl decimal double float flt int integer long measured num number numeric raw real
    scaled v val value
    """
)
"""Words around `value` that say only of what type it is."""
WEAK_VALUES = _names(
    """
    amount data number observation result scalar state
    """
)
"""Names of values that numbers may also have which stand beside each other as equals."""
AGGREGATES = _names(
    """
    average avg count first last latest max maximum mean median min minimum sum total
    """
)
"""Statistics of a value, which name nothing by themselves."""
QUALITIES = _names(
    """
    alarm alarmstate annotated anomaly bad badquality confidence dataok dataquality devicestatus dq err error
    errorcode fault faulty flag flags good haserror hasfault invalid isalarm isanomaly isbad isfault isgood
    isinvalid isok isvalid ok opcquality outlier q qc qcflag qual quality qualitycode qualitydetail qualityflag
    questionable reliability sensorstatus severity state_class status statuscode statusflag substituted suspect
    valid validity
    """
)
"""Flags and codes that say how good a value is."""
UNITS = _names(
    """
    bu einheit engineeringunit engineeringunits engunits eu measurementunit measureunit u unit unitabbreviation
    unitcode unitname unitofmeasure unitofmeasurement units unitsabbreviation unitsymbol uom
    """
)
"""Units of a value."""
SENSOR_WORDS = _names(
    """
    analyser analyzer asset detector dev device entity equipment eui gateway geraet gerät host imei instance
    instrument logger machine meter node probe sensor serial station thing transmitter
    """
)
"""What measures: alone or with a qualifier, a sensor."""
PLACE_WORDS = _names(
    """
    area building cell channel city column country customer facility farm feed field floor lane line location
    loop pile pipeline plant pump rack reactor region room segment site source stack stage stream tank tenant
    unit vessel well zone
    """
)
"""Where something is measured."""
QUALIFIERS = _names(
    """
    code guid id key label name no nr num number ref tag uuid
    """
)
"""What may stand behind the word for a sensor or a place."""
NOTES = _names(
    """
    author backgroundcolor batch batchid bordercolor color colour comment comments contenttype dayname
    description encoding event eventtype file filename format href job language license link message mode
    monthname msg note notes operator remark remarks schema shift source_ style text timezone tz url user
    username version weekday zone
    """
)
"""Remarks and attributes of a row that are no label."""
IDENTIFIERS = _names(
    """
    _id applicationuri barcode checksum correlationid crc deveui digest etag eui guid hash id imei ip mac msgid
    objectid oid partitionkey pid pk ref rowid rowkey serial serialno serialnumber sn subscriptionid tid
    transactionid uid uuid webid
    """
)
"""Ids of rows, devices and messages."""
INDEXES = _names(
    """
    # autoincrement counterno cursor fcnt framecount framecounter i idx idx0 index level0 lfdnr lineno
    linenumber messageno messagenumber msgno no nr num number_ offset ordinal packetno packetnumber pos_
    position_ readingnumber recno recordno recordnumber rn row rowindex rowno rownum rownumber sampleno samplenr
    samplenumber seq seqno seqnr seqnum sequence sequenceid sequenceno sequencenumber step_ table unnamed0
    """
)
"""Row numbers and sequence numbers."""
CALENDAR = _names(
    """
    day dayofmonth dayofweek dayofyear dow doy epochday hour hourofday isoweek isoyear jahr millisecond minute
    minuteofday minuteofhour monat month quarter second stunde tag_ week weekday weekofyear year yearmonth
    """
)
"""Parts of a date."""
BOOKKEEPING = _names(
    """
    attempt attempts channelindex code datarate doccount expiresin flagsraw fport httpstatus lastmodified limit
    majorversion maxage metadataversion minorversion numsamples page pagecount pages pagesize partition perpage
    port recordcount retries retry rev revalidate revision rowcount samplecount schemaversion shard
    spreadingfactor totalpages tries ttl ver version xaxis yaxis zindex
    """
)
"""Numbers about the message, the page or the code."""
NEVER_MEASURES = _names(
    """
    account accountno accountnumber acquired acquiredat authtime baudrate buildno buildnumber customerno dob ean
    exp expirationtime expire expires expiresat expiresin expiry fax firmware firmwareversion fw fwrev fwversion
    gtin hw hwrev hwversion iat iban iccid imsi invoice invoiceno isbn lockedat maxage mobile modbusaddress
    msisdn nanos nanosecond nanoseconds nbf ns nsec offsetinnanos originalmaxage phone phonenumber plz
    postalcode postcode pword registeraddress retryafter sku softwareversion sw swrev swversion tel telephone
    took ttl upc validuntil version vlan vlanid zip zipcode
    """
)
"""Numbers that measure nothing, whatever they are."""
COORDINATES = _names(
    """
    alt altitude ele elevation lat latitude lng lon long longitude
    """
)
"""Where something stands on the earth: no measure."""
HEIGHTS = _names("alt altitude ele elevation")
"""Of these, those that are a measure where no latitude stands beside them."""
GEOMETRIES = _names("bbox boundingbox centroid coordinates coords latlng latlon latlons linestring polygon polyline")
PAGING = _names(
    """
    endcursor hasmore hasnext hasnextpage limit next nextlink nextpage page pages pagesize perpage previous
    totalpages
    """
)
"""Members of the head of a page."""
DESCRIPTIONS = _names(
    """
    address config configuration coordinates coords datalabels devicemeta geo geocode geolocation geometry gps
    header headers hoverlabel legend location marker meta metadata options pointstyle postaladdress settings
    site style thresholds tooltip user
    """
)
"""Members that describe a device, a place or a drawing."""
ENVELOPES = _names(
    """
    cookie cookies error errors exception innererror pageinfo pagination paging passport ratelimit session
    shards
    """
)
"""Members about the message itself."""
AXES = _names(
    """
    age angle bin categories category cycle days depth distance elapsed elapsedtime epoch freq frequency hours i
    idx index iteration key label labels length minutes n offset position row sample seconds step timestamps
    wavelength x xaxisvalues xdata xs xvalues year
    """
)
"""What can be along an axis without times."""
CLOCKS = _names(
    """
    clock heure hora hour hours localtime ora tijd time timeofday timeutc tod uhrzeit utctime zeit
    """
)
"""Times of day."""
GENERIC_CONTAINERS = _names(
    """
    _source attributes body buckets channels children content data datapoint datapoints decoded decodedpayload
    desired details doc docs document edges entries features fields hits hours input instant item items json
    list main measurement measurements measures message metrics msg nodes node object observations output
    parameters params payload payloads point points process processdata properties readings record records
    reported response result results row rows sample samples sensordata sensors series source state state_
    telemetry uplinkmessage value values variables vars
    """
)
"""Members that only wrap, so that they add nothing to a name."""
MEASUREMENT_CONTAINERS = _names(
    """
    body data decoded decodedpayload fields measurements metrics object payload readings
    sensordata source telemetry values
    """
)
"""Members that hold what was measured, so that numbers beside them do not."""
ASIDES = _names(
    """
    aggregates aggregations alarms alert alerts annotations axes backgroundcolor baseline bordercolor borderdash
    borderradius colors colorscale colours config configuration context current currentunits customdata
    dailyunits datalabels datazoom debug domain domains encoding env errors errorx errory events
    extendedproperties extensions forecastmeta geo header headers history_ hourlyunits hovertemplate info latest
    layout legend limit limits line link links log logs marker meta metadata options output outputs pagination
    paging plotoptions plugins pointbackgroundcolor profile query querystatus range request requests
    rowsaffected scales schema segment settings shapes statistics stats style summary tableofcontents template
    thresholds ticks toolbox tooltip total totals transform units visualmap warnings xaxes xaxis yaxes yaxis
    """
)
"""Members that stand beside the data: summaries, links, layout."""
UNFINISHED = _names(
    """
    accepted building collecting created init initialising initialized initializing inprogress loading new open
    pending processing progress queued received running scheduled started submitted uploading waiting
    """
)
"""States of a batch that is not complete."""
PROGRESS = _names(
    """
    attempts completed count current done duration durationms elapsed elapsedms estimatedseconds eta expected
    expectedcount failed limit pending percent percentage percentcomplete position priority processed progress
    queued received recordcount records remaining reset resetat retries rowcount rows size step steps succeeded
    successful took total totalcount workers
    """
)
"""Numbers that count the work on a batch."""
ERRORS = _names(
    """
    error errors exception innererror stacktrace traceback
    """
)
"""Members of an error document."""
SESSIONS = _names(
    """
    accesstoken cookie csrf csrftoken iat idtoken passport refreshtoken sessionid sessiontoken sub
    """
)
"""Members of a session or of a token's claims."""
HEALTH = _names(
    """
    arraybuffers external freemem heaptotal heapused loadavg pid ppid rss totalmem uptime uptimems uptimes
    uptimeseconds
    """
)
"""Numbers about a process."""
NUMBERED_PLACES = _names(
    """
    address alias bay bus cavity ch chan channel channelindex channelno dev did gateway gw kanal linea maquina
    maschine maschinennr mid modul module mp node nodo port puesto rack reg register registeraddress sid slave
    slaveid slot spindle unitid zone
    """
)
"""Where a value stands in a device, as a number."""
ROW_WRAPPERS = _names(
    """
    c cells columns data f fields r row values
    """
)
"""Members that hold the cells of one row."""
NAME_LISTS = _names(
    """
    cols column columninfo columnmetadata columns dimensions fields header headers heading headings keys labels
    meta names rowtype schema
    """
)
"""Members that hold the names of columns."""
