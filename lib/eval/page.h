/// \file What the HTML pages have in common.
#pragma once

namespace semdns::eval {

/// Contents of a page's <style>.
inline constexpr const char *kPageStyle = R"(
:root{color:#1c2733;background:#f6f7f9;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
body{max-width:1120px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0}h2{font-size:19px;margin:34px 0 10px;padding-top:6px;border-top:2px solid #dde2e8}
.sub{color:#55616d;margin:2px 0 0;overflow-wrap:anywhere}.note{color:#55616d;font-size:13px;max-width:80ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px;margin-top:18px}
.tile,.card{background:#fff;border:1px solid #dde2e8;border-radius:8px;padding:12px 14px}
.tile b{display:block;font-size:26px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile .name{color:#55616d;font-size:13px}.tile .range{color:#55616d;font-size:12.5px;font-variant-numeric:tabular-nums}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:14px}
svg{width:100%;height:auto;display:block}svg text{fill:#1c2733}svg .tick{font-size:11px;fill:#55616d}
svg .axis{font-size:12px;fill:#55616d}svg .grid{stroke:#e6e9ed}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #dde2e8;border-radius:8px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;font-size:12.5px;color:#55616d;background:#fafbfc}
th,td{padding:5px 10px;border-bottom:1px solid #edf0f3;vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap}
td.t{overflow-wrap:anywhere}code,.path{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12.5px}
.path{overflow-wrap:break-word}.rate{white-space:nowrap}q{color:#1c2733}q::before,q::after{color:#8a929a}
.bar{display:inline-block;width:84px;height:10px;border-radius:5px;background:#e6e9ed;overflow:hidden;vertical-align:middle}
.bar i{display:block;height:100%}
.stack{display:flex;height:26px;border-radius:6px;overflow:hidden;margin:6px 0 10px}
.stack i{display:block;color:#fff;font:12px/26px system-ui,sans-serif;text-align:center;overflow:hidden;white-space:nowrap}
details{background:#fff;border:1px solid #dde2e8;border-radius:8px;margin:6px 0}details>table{border:0;border-top:1px solid #edf0f3}
summary{cursor:pointer;padding:6px 12px;display:grid;grid-template-columns:minmax(160px,2fr) 90px repeat(3,minmax(150px,1fr));gap:8px;align-items:center}
summary>span:first-child::before{content:'\25b8';color:#8a929a;margin-right:8px}details[open]>summary>span:first-child::before{content:'\25be'}.ok{color:#00704f}.bad{color:#b34700}.pill{border-radius:10px;padding:1px 9px;font-size:12.5px;border:1px solid currentColor;white-space:nowrap}
@media print{body{max-width:none}details,.card,tr{break-inside:avoid}}
)";

} // namespace semdns::eval
