"""What operators see: health, activity, census of keys, monitor page, OpenAPI, doctor."""
