// Whether text is well-formed XML: tags nest, attributes are quoted, no bare & or
// <. Enough for what our writers make; "" or the first fault.
#ifndef ISOFLOP_TESTS_ANALYSIS_REPORT_WELL_FORMED_H_
#define ISOFLOP_TESTS_ANALYSIS_REPORT_WELL_FORMED_H_

#include <regex>
#include <string>
#include <vector>

namespace isoflop {

inline std::string XmlFault(const std::string& text) {
  static const std::regex kTag(R"(^<(/?)([A-Za-z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(/?)>)");
  static const std::regex kEntity(R"(^&(?:amp|lt|gt|quot|#\d+);)");
  std::vector<std::string> open;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '<' && text[at] != '&') {
      ++at;
      continue;
    }
    const std::string rest = text.substr(at, 200000);
    std::smatch match;
    if (text[at] == '&') {
      if (!std::regex_search(rest, match, kEntity)) return "bare & at " + rest.substr(0, 40);
    } else {
      const std::string tag = rest.substr(0, rest.find('>') + 1);
      if (!std::regex_search(tag, match, kTag)) return "no tag: " + tag.substr(0, 200);
      if (match[1].length() > 0) {
        if (open.empty() || open.back() != match[2]) return "closes what is not open: " + tag;
        open.pop_back();
      } else if (match[4].length() == 0) {
        open.push_back(match[2]);
      }
    }
    at += static_cast<size_t>(match.length(0));
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_REPORT_WELL_FORMED_H_
