"""A small Pyramid application that shows what is measured, and the load for it.

`app`, `views`, `database`, `goods` and `wsgi` are an ordinary service: nothing in them knows that it is
observed, but for one counter and one span of the application's own, made with OpenTelemetry's API.
`load`, `page`, `table` and `server` are what `otelc2c demo` runs around it.
"""
