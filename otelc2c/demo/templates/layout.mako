<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><%block name="title">The tea room</%block></title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${request.static_path('otelc2c.demo:static/demo.css')}">
</head>
<body>
<header><a href="${request.route_path('home')}">The tea room</a></header>
<main>
${next.body()}
</main>
</body>
</html>
