#include "lib/eval/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace semdns::eval {
namespace {

constexpr int kLeft = 56, kRight = 26, kTop = 46, kBottom = 44;

/// Between ticks: about five of them.
double tickStep(double span) { return roundUp(span / 5.5); }

} // namespace

std::string escaped(std::string_view text, size_t most) {
  std::string out;
  bool cut = text.size() > most;
  if (cut) {
    while (most && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
      --most;
    text = text.substr(0, most);
  }
  for (char c : text)
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    case '\n':
    case '\t':
      out += ' ';
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        out += "&#xfffd;";
      else
        out += c;
    }
  return out + (cut ? "&hellip;" : "");
}

std::string number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

double roundUp(double value) {
  if (!(value > 0))
    return 1;
  const double unit = std::pow(10, std::floor(std::log10(value)));
  for (double step : {1.0, 2.0, 5.0})
    if (step * unit >= value * (1 - 1e-9))
      return step * unit;
  return 10 * unit;
}

Plot::Plot(std::string title, Axis x, Axis y, int width, int height)
    : title_(std::move(title)), x_(std::move(x)), y_(std::move(y)), width_(width), height_(height) {
}

double Plot::px(double x) const {
  const double at = (std::clamp(x, x_.low, x_.high) - x_.low) / (x_.high - x_.low);
  return kLeft + at * (width_ - kLeft - kRight);
}

double Plot::py(double y) const {
  const double at = (std::clamp(y, y_.low, y_.high) - y_.low) / (y_.high - y_.low);
  return height_ - kBottom - at * (height_ - kTop - kBottom);
}

void Plot::line(const Points &points, const char *colour, const char *dash) {
  body_ += "<polyline fill='none' stroke-width='2' stroke='" + std::string(colour) + "'";
  if (*dash)
    body_ += " stroke-dasharray='" + std::string(dash) + "'";
  body_ += " points='";
  for (const auto &[x, y] : points)
    body_ += number(px(x), 1) + "," + number(py(y), 1) + " ";
  body_ += "'/>\n";
}

void Plot::bar(double left, double right, double bottom, double top, const char *colour,
               double opacity, const std::string &tip) {
  body_ += "<rect x='" + number(px(left), 1) + "' y='" + number(py(top), 1) + "' width='" +
           number(std::max(0.0, px(right) - px(left)), 1) + "' height='" +
           number(std::max(0.0, py(bottom) - py(top)), 1) + "' fill='" + colour +
           "' fill-opacity='" + number(opacity, 2) + "'><title>" + escaped(tip) +
           "</title></rect>\n";
}

void Plot::whisker(double x, double low, double high, const char *colour) {
  body_ += "<line x1='" + number(px(x), 1) + "' x2='" + number(px(x), 1) + "' y1='" +
           number(py(low), 1) + "' y2='" + number(py(high), 1) + "' stroke='" + colour +
           "' stroke-width='1.5'/>\n";
}

void Plot::dot(double x, double y, const char *colour, const std::string &tip) {
  body_ += "<circle cx='" + number(px(x), 1) + "' cy='" + number(py(y), 1) + "' r='5' fill='" +
           colour + "' stroke='#fff' stroke-width='1.5'><title>" + escaped(tip) +
           "</title></circle>\n";
}

void Plot::legend(const char *colour, const std::string &text) {
  const std::string at = std::to_string(kLeft + 170 * entries_++);
  legend_ += "<g transform='translate(" + at +
             ",34)'><rect y='-8' width='12' height='8' rx='2' fill='" + colour +
             "'/><text x='17' font-size='11'>" + escaped(text) + "</text></g>\n";
}

std::string Plot::svg() const {
  std::string out = "<svg viewBox='0 0 " + std::to_string(width_) + " " + std::to_string(height_) +
                    "' role='img' aria-label='" + escaped(title_) + "'>\n<text x='" +
                    std::to_string(kLeft) + "' y='16' font-size='14' font-weight='600'>" +
                    escaped(title_) + "</text>\n" + legend_;
  const auto label = [](double value, const Axis &axis, double step) {
    const double shown = axis.percent ? 100 * value : value,
                 unit = axis.percent ? 100 * step : step;
    return number(shown, unit >= 1 ? 0 : unit >= 0.1 ? 1 : 2) + (axis.percent ? " %" : "");
  };
  const double xStep = tickStep(x_.high - x_.low), yStep = tickStep(y_.high - y_.low);
  for (int i = 0; y_.low + i * yStep <= y_.high * (1 + 1e-9); ++i) {
    const double y = y_.low + i * yStep;
    out += "<line class='grid' x1='" + std::to_string(kLeft) + "' x2='" +
           std::to_string(width_ - kRight) + "' y1='" + number(py(y), 1) + "' y2='" +
           number(py(y), 1) + "'/><text class='tick' text-anchor='end' x='" +
           std::to_string(kLeft - 6) + "' y='" + number(py(y) + 4, 1) + "'>" + label(y, y_, yStep) +
           "</text>\n";
  }
  for (int i = 0; x_.ticks && x_.low + i * xStep <= x_.high * (1 + 1e-9); ++i) {
    const double x = x_.low + i * xStep;
    out += "<text class='tick' text-anchor='middle' x='" + number(px(x), 1) + "' y='" +
           std::to_string(height_ - kBottom + 16) + "'>" + label(x, x_, xStep) + "</text>\n";
  }
  out += "<text class='axis' text-anchor='middle' x='" + number((px(x_.low) + px(x_.high)) / 2, 1) +
         "' y='" + std::to_string(height_ - 8) + "'>" + escaped(x_.name) + "</text>\n";
  out += "<text class='axis' text-anchor='middle' transform='translate(13," +
         number((py(y_.low) + py(y_.high)) / 2, 1) + ") rotate(-90)'>" + escaped(y_.name) +
         "</text>\n";
  return out + body_ + "</svg>\n";
}

} // namespace semdns::eval
