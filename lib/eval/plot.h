/// \file Small plots as SVG text, and HTML escaping.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace semdns::eval {

/// Okabe and Ito's colours, which stay apart for every kind of colour vision.
namespace colour {
constexpr const char *kBlue = "#0072b2", *kOrange = "#d55e00", *kGreen = "#009e73",
                     *kYellow = "#e69f00", *kPurple = "#8a4f7d", *kGrey = "#8a929a";
}

/// Text as HTML shows it: markup escaped, control characters visible, cut after `most` bytes (at a
/// character).
std::string escaped(std::string_view text, size_t most = 400);

/// printf with %.{digits}f.
std::string number(double value, int digits);

/// A plot with linear axes. Coordinates are the data's; what lies outside the axes is clipped.
class Plot {
public:
  struct Axis {
    std::string name;
    double low = 0, high = 1;
    bool percent = true; ///< tick labels: of 1
    bool ticks = true;   ///< of the x axis; without them it has places only
  };
  Plot(std::string title, Axis x, Axis y, int width = 520, int height = 340);
  using Points = std::vector<std::pair<double, double>>;
  void line(const Points &points, const char *colour, const char *dash = "");
  void bar(double left, double right, double bottom, double top, const char *colour, double opacity,
           const std::string &tip);
  void whisker(double x, double low, double high, const char *colour);
  void dot(double x, double y, const char *colour, const std::string &tip);
  /// Adds an entry to the legend below the title.
  void legend(const char *colour, const std::string &text);
  std::string svg() const;

private:
  double px(double x) const;
  double py(double y) const;
  std::string title_, body_, legend_;
  Axis x_, y_;
  int width_, height_, entries_ = 0;
};

/// The least "round" value (1, 2, 5 times a power of ten) not below `value`.
double roundUp(double value);

} // namespace semdns::eval
