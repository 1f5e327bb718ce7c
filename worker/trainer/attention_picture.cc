#include "worker/trainer/attention_picture.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/utf8.h"
#include "nlohmann/json.hpp"

namespace isoflop {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kCell = 16, kLabel = 58, kHead = 22, kGap = 26, kMargin = 12, kTitle = 30, kLegend = 40;

std::string Xml(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      default: safe += c;
    }
  }
  return safe;
}

// White to a dark blue, by weight in [0, 1].
std::string Shade(double weight) {
  const double t = std::sqrt(std::clamp(weight, 0.0, 1.0));  // small weights stay visible
  const auto channel = [&](int dark) { return static_cast<int>(std::lround(255 + t * (dark - 255))); };
  return absl::StrFormat("#%02x%02x%02x", channel(0x10), channel(0x2a), channel(0x5c));
}

std::string Number(double value) { return absl::StrFormat("%g", std::round(value * 100) / 100); }

}  // namespace

std::string TokenLabel(int64_t id, bool is_eot, const std::string& text) {
  if (is_eot) return "<eot>";
  if (text.empty()) return absl::StrCat("#", id);
  std::string label;
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(std::string_view(text).substr(at));
    const char c = text[at];
    if (length == 1 && c == ' ') {
      label += "\u2423";
    } else if (length == 1 && c == '\n') {
      label += "\u21b5";
    } else if (length == 1 && c == '\t') {
      label += "\u21e5";
    } else if (length == 0 || (length == 1 && static_cast<unsigned char>(c) < 0x20) || c == 0x7f) {
      label += absl::StrFormat("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      label += text.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  return label;
}

std::string AttentionSvg(const AttentionGrid& grid) {
  const size_t tokens = grid.ids.size(), heads = grid.heads.size();
  const auto columns = static_cast<size_t>(std::ceil(std::sqrt(static_cast<double>(heads))));
  const size_t rows = (heads + columns - 1) / columns;
  const double side = kCell * static_cast<double>(tokens);
  const double panel_width = kLabel + side + kGap, panel_height = kHead + kLabel + side + kGap;
  const double width = 2 * kMargin + panel_width * static_cast<double>(columns);
  const double height = 2 * kMargin + kTitle + panel_height * static_cast<double>(rows) + kLegend;
  std::string svg = absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", Number(width), "\" height=\"", Number(height),
                                 "\" viewBox=\"0 0 ", Number(width), " ", Number(height),
                                 "\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  const auto text = [&](double x, double y, const std::string& words, const std::string& more = "") {
    absl::StrAppend(&svg, "<text x=\"", Number(x), "\" y=\"", Number(y), "\"", more, ">", Xml(words), "</text>\n");
  };
  text(kMargin, kMargin + 14, grid.title, " font-size=\"14\" font-weight=\"bold\"");
  for (size_t h = 0; h < heads; ++h) {
    const double left = kMargin + panel_width * static_cast<double>(h % columns) + kLabel;
    const double top = kMargin + kTitle + panel_height * static_cast<double>(h / columns) + kHead + kLabel;
    text(left, top - kLabel - 6, absl::StrCat("head ", grid.heads[h]), " font-weight=\"bold\"");
    for (size_t i = 0; i < tokens; ++i) {
      const double middle = (static_cast<double>(i) + 0.5) * kCell;
      text(left - 5, top + middle + 4, grid.labels[i], " text-anchor=\"end\"");
      const double x = left + middle + 4, y = top - 5;
      text(x, y, grid.labels[i], absl::StrCat(" transform=\"rotate(-90 ", Number(x), " ", Number(y), ")\""));
    }
    for (size_t query = 0; query < tokens; ++query) {
      for (size_t key = 0; key < tokens; ++key) {
        const double weight = grid.weights[(h * tokens + query) * tokens + key];
        if (key > query && weight == 0) continue;  // the future is left blank
        absl::StrAppend(&svg, "<rect x=\"", Number(left + kCell * static_cast<double>(key)), "\" y=\"",
                        Number(top + kCell * static_cast<double>(query)), "\" width=\"", Number(kCell), "\" height=\"", Number(kCell),
                        "\" fill=\"", Shade(weight), "\" stroke=\"#dddddd\" stroke-width=\"0.5\"><title>",
                        Xml(absl::StrCat(grid.labels[query], " looks at ", grid.labels[key], absl::StrFormat(": %.3f", weight))), "</title></rect>\n");
      }
    }
    absl::StrAppend(&svg, "<rect x=\"", Number(left), "\" y=\"", Number(top), "\" width=\"", Number(side), "\" height=\"", Number(side),
                    "\" fill=\"none\" stroke=\"#888888\"/>\n");
  }
  const double y = height - kMargin - 14;
  text(kMargin, y + 10, "rows: query, columns: key; weight");
  for (int i = 0; i <= 10; ++i) {
    absl::StrAppend(&svg, "<rect x=\"", Number(kMargin + 230 + 14.0 * i), "\" y=\"", Number(y), "\" width=\"14\" height=\"12\" fill=\"", Shade(i / 10.0),
                    "\" stroke=\"#dddddd\" stroke-width=\"0.5\"/>\n");
  }
  text(kMargin + 224, y + 10, "0", " text-anchor=\"end\"");
  text(kMargin + 230 + 14.0 * 11 + 6, y + 10, "1");
  return svg + "</svg>\n";
}

std::string AttentionJson(const AttentionGrid& grid) {
  const size_t tokens = grid.ids.size();
  Json weights = Json::array();
  for (size_t h = 0; h < grid.heads.size(); ++h) {
    Json head = Json::array();
    for (size_t query = 0; query < tokens; ++query) {
      Json row = Json::array();
      for (size_t key = 0; key < tokens; ++key) {
        // Nine digits give a float back exactly.
        row.push_back(std::stod(absl::StrFormat("%.9g", static_cast<double>(grid.weights[(h * tokens + query) * tokens + key]))));
      }
      head.push_back(std::move(row));
    }
    weights.push_back(std::move(head));
  }
  return Json{{"schema", "isoflop.attention/1"}, {"title", grid.title}, {"layer", grid.layer}, {"heads", grid.heads},
              {"tokens", grid.labels}, {"ids", grid.ids}, {"weights", weights}}
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace isoflop
