<%inherit file="layout.mako"/>
<%block name="title">Orders</%block>
<h1>The oldest orders</h1>
% if joined:
<p>One query brought the orders with their teas and suppliers.
<a href="${request.route_path('orders_late')}">The same page</a> can be had with many.</p>
% else:
<p>One query brought the orders. Each line below then asked for its tea and its supplier, as they were
needed, in queries of their own. <a href="${request.route_path('orders_joined')}">The same page</a> can be had
with one.</p>
% endif
<table>
<thead><tr><th class="number">Cups</th><th>Tea</th><th>Supplier</th><th>Place</th></tr></thead>
<tbody>
% for order in orders:
<tr><td class="number">${order.cups}</td><td>${order.tea.name}</td>
<td>${order.tea.supplier.name}</td><td>${order.tea.supplier.place}</td></tr>
% endfor
</tbody>
</table>
