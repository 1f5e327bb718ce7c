#include "analysis/report/embedded_files.h"

// The assembler reads the file: a megabyte as a C array would take the compiler
// seconds. CMake gives the paths.
#define ISOFLOP_EMBED(name, path)                                             \
  asm(".pushsection .rodata\n"                                                \
      ".balign 16\n"                                                          \
      "isoflop_" name "_begin:\n"                                             \
      ".incbin \"" path "\"\n"                                                \
      "isoflop_" name "_end:\n"                                               \
      ".byte 0\n"                                                             \
      ".popsection\n"                                                         \
      ".globl isoflop_" name "_begin\n.globl isoflop_" name "_end\n"          \
      ".hidden isoflop_" name "_begin\n.hidden isoflop_" name "_end\n")

ISOFLOP_EMBED("page_css", ISOFLOP_PAGE_CSS);
ISOFLOP_EMBED("page_js", ISOFLOP_PAGE_JS);
extern "C" {
extern const char isoflop_page_css_begin[], isoflop_page_css_end[];
extern const char isoflop_page_js_begin[], isoflop_page_js_end[];
}
#ifdef ISOFLOP_PLOTLY_GZIP
ISOFLOP_EMBED("plotly", ISOFLOP_PLOTLY_GZIP);
extern "C" {
extern const char isoflop_plotly_begin[], isoflop_plotly_end[];
}
#endif

namespace isoflop {
namespace {

absl::string_view Between(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }

}  // namespace

absl::string_view PageCss() { return Between(isoflop_page_css_begin, isoflop_page_css_end); }
absl::string_view PageScript() { return Between(isoflop_page_js_begin, isoflop_page_js_end); }

absl::string_view PlotlyGzip() {
#ifdef ISOFLOP_PLOTLY_GZIP
  return Between(isoflop_plotly_begin, isoflop_plotly_end);
#else
  return {};
#endif
}

}  // namespace isoflop
