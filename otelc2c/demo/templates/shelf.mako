<%inherit file="layout.mako"/>
<%block name="title">The shelf</%block>
<h1>The shelf</h1>
<table>
<thead><tr><th>Tea</th><th>From</th><th class="number">Price</th></tr></thead>
<tbody>
% for tea in teas:
<tr><td>${tea.name}</td><td>${tea.supplier.place}</td><td class="number">${f"{tea.cents / 100:.2f}"}</td></tr>
% endfor
</tbody>
</table>
