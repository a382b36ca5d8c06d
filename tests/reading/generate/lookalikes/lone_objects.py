"""Objects of numbers that are no readings: errors, carts, settings, tokens, jobs, logs."""

from lookalikes.readings import ISO, MS, SECONDS, TEMP, theme


def none(name, source, payload, kinds="bc", why="", **how):
    theme.add(kinds, name, source, payload, None, refuse=why, **how)


none("OpenWeather error", "OpenWeather API", {"cod": 401, "message": "Invalid API key."})
none(
    "rate limit",
    "GitHub REST API",
    {
        "resources": {"core": {"limit": 5000, "remaining": 4999, "reset": SECONDS[0], "used": 1}},
        "rate": {"limit": 5000, "remaining": 4999, "reset": SECONDS[0], "used": 1},
    },
)
none(
    "shopping cart",
    "web shop",
    {
        "cartId": "c-1",
        "items": [{"sku": "A-1", "qty": 2, "price": 9.99}, {"sku": "B-7", "qty": 1, "price": 4.5}],
        "total": 24.48,
        "currency": "EUR",
        "updatedAt": ISO[0],
    },
    "b",
)
none("user profile", "web app", {"id": 17, "name": "Ada", "age": 36, "height": 1.68, "score": 99.5})
none("interface settings", "web app", {"theme": "dark", "fontSize": 14, "refreshInterval": 30, "zoom": 1.25})
none("model configuration", "LLM client", {"model": "m", "temperature": 0.7, "top_p": 1, "max_tokens": 256})
none(
    "health check",
    "Spring Boot Actuator",
    {
        "status": "UP",
        "components": {
            "diskSpace": {
                "status": "UP",
                "details": {"total": 250_685_575_168, "free": 100_000_000_000, "threshold": 10_485_760},
            }
        },
    },
)
none(
    "health of a process",
    "Express app",
    {
        "status": "ok",
        "uptime": 12345.67,
        "timestamp": MS[0],
        "memory": {"rss": 51_000_000, "heapTotal": 20_000_000, "heapUsed": 15_000_000, "external": 1_000_000},
    },
)
none("OAuth token", "RFC 6749", {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600, "scope": "read"})
none("JWT claims", "RFC 7519", {"iss": "a", "sub": "b", "iat": SECONDS[0], "exp": SECONDS[0] + 3600, "amr": ["pwd"]})
none(
    "Kubernetes deployment",
    "Kubernetes API",
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": 3, "creationTimestamp": ISO[0]},
        "spec": {"replicas": 3, "revisionHistoryLimit": 10},
        "status": {"replicas": 3, "readyReplicas": 2},
    },
)
none(
    "invoice",
    "accounting",
    {"invoiceNo": 2026001, "date": "2026-03-01", "net": 100.0, "vat": 19.0, "total": 119.0, "currency": "EUR"},
)
none(
    "job list",
    "Bull Board API",
    {"jobs": [{"id": str(i), "name": "ingest", "progress": 10 * i, "attempts": 1, "delay": 0} for i in range(4)]},
)
none(
    "BullMQ job",
    "BullMQ job.toJSON",
    {
        "id": "7",
        "name": "ingest",
        "data": {"batch": 17},
        "opts": {"attempts": 3, "delay": 0},
        "progress": 40,
        "delay": 0,
        "priority": 0,
        "attemptsMade": 1,
        "timestamp": MS[0],
        "processedOn": MS[0] + 12,
    },
)
none(
    "pino log line",
    "pino",
    {"level": 30, "time": MS[0], "pid": 4711, "hostname": "web-1", "msg": "request completed", "responseTime": 12},
)
none(
    "embedding",
    "OpenAI embeddings API",
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.013, -0.2, 0.4, 0.1]}],
        "model": "text-embedding",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    },
)
none(
    "Modbus request",
    "node-red-contrib-modbus",
    {"unitid": 1, "fc": 3, "address": 100, "quantity": 10, "messageId": "m1"},
)
none(
    "empty ECharts option",
    "Apache ECharts",
    {
        "grid": {"left": 40, "top": 20},
        "xAxis": {"type": "category", "data": []},
        "yAxis": {"type": "value", "min": 0},
        "series": [{"type": "line", "symbolSize": 4, "data": []}],
    },
)
none(
    "products without a time", "web shop", [{"sku": f"A-{i}", "price": 9.99 + i, "stock": 4 * i} for i in range(5)], "b"
)
none(
    "JSON-RPC error",
    "JSON-RPC 2.0",
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}},
)
theme.add(
    "b",
    "one reading with a time",
    "device",
    {"ts": MS[0], "temp": TEMP[0], "humidity": 45},
    {"temp": [(MS[0], TEMP[0])], "humidity": [(MS[0], 45)]},
)
theme.add(
    "b",
    "one object inside measurements",
    "device",
    {"device": "d1", "measurements": {"temp": TEMP[0], "pressure": 1.21}},
    {"temp": [(None, TEMP[0])], "pressure": [(None, 1.21)]},
)
