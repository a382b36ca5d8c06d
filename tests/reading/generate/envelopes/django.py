"""Rows below members: what Django and Django REST framework write."""

import json
from typing import Any

import django
from django.conf import settings
from kit import Row, epoch_ms, lib, moment_of, rename

from envelopes.readings import ROWS, TRUTH, theme


def rendered_page(records: list[Row]) -> Any:
    """A page of Django REST framework; its modules want settings before they are imported."""
    settings.configure(USE_TZ=True, INSTALLED_APPS=[], DATABASES={})
    django.setup()
    from rest_framework import serializers
    from rest_framework.renderers import JSONRenderer

    class ReadingSerializer(serializers.Serializer):
        ts = serializers.DateTimeField()
        temp = serializers.FloatField()
        pressure_bar = serializers.DecimalField(max_digits=8, decimal_places=3)

    data = ReadingSerializer(records, many=True).data
    page = {"count": 240, "next": "https://plant.example/api/readings/?page=3", "previous": None, "results": data}
    return JSONRenderer().render(page)


def fixture(records: list[Row]) -> str:
    from django.core.serializers.json import DjangoJSONEncoder

    listed = [{"model": "plant.reading", "pk": 71 + i, "fields": record} for i, record in enumerate(records)]
    return json.dumps(listed, cls=DjangoJSONEncoder)


dated = [{**row, "ts": moment_of(epoch_ms(row["ts"]))} for row in ROWS]
source = f"{lib('djangorestframework')} PageNumberPagination, JSONRenderer"
theme.add("bc", "DRF page", source, rendered_page(dated), TRUTH)
prefixed = [rename(TRUTH, "fields.{}".format)]
theme.add(
    "bc", "Django serializer, fields below", f"{lib('Django')} DjangoJSONEncoder", fixture(dated), TRUTH, alt=prefixed
)
