<%inherit file="layout.mako"/>
<%block name="title">Not now</%block>
<h1>Not now</h1>
<p>${reason}. An exception view made this page, and its status is 503.</p>
