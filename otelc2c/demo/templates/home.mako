<%inherit file="layout.mako"/>
<h1>A small service, observed</h1>
<p>Nothing in this application knows that it is measured. Open some of its pages, then look at
the <a href="${metrics_url}">numbers of all its workers</a>.</p>

<ul class="cards">
<li><a href="${request.route_path('hello', name='you')}"><b>Hello</b> a JSON answer</a></li>
<li><a href="${request.route_path('shelf')}"><b>The shelf</b> a page from a template</a></li>
<li><a href="${request.route_path('slow')}"><b>Slow</b> 120 ms, or <code>?ms=</code> up to 2000</a></li>
<li><a href="${request.route_path('stream')}"><b>Stream</b> a body sent line by line</a></li>
<li><a href="${request.route_path('prices')}"><b>Prices</b> what can be ordered</a></li>
<li><a href="${request.route_path('orders_joined')}"><b>Orders</b> a page with one query</a></li>
<li><a href="${request.route_path('supplier')}"><b>Supplier</b> a call over HTTP, to this service</a></li>
<li><a href="${request.route_path('cache')}"><b>Cache</b> visits, counted in Redis</a></li>
<li class="bad"><a href="${request.route_path('orders_late')}"><b>Orders, late</b> a query for each line</a></li>
<li class="bad"><a href="${request.route_path('fail')}"><b>Fail</b> an exception that is answered, 503</a></li>
<li class="bad"><a href="${request.route_path('crash')}"><b>Crash</b> an exception that is not, 500</a></li>
</ul>

<h2>Order</h2>
<p>An order makes a span of the application's own, <code>price order</code>, is stored, and counts
in <code>demo.orders</code>.</p>
<form method="post" action="${request.route_path('orders')}">
<label>Tea <select name="tea">
% for tea in teas:
<option>${tea.name}</option>
% endfor
</select></label>
<label>Cups <input name="cups" type="number" min="1" max="100" value="2"></label>
<button>Order</button>
</form>
