// Tables as LaTeX for a paper: booktabs, a longtable where a page does not hold it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "analysis/report/references.h"
#include "analysis/report/report.h"

namespace isoflop {
namespace {

constexpr size_t kRowsOfAPage = 40;
constexpr size_t kLongText = 28;  // letters from which a column of text wraps

// Text with every sign that TeX takes for itself made harmless. "[" and "*" too: behind
// a "\\" they would be its arguments.
std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"\\", "\\textbackslash{}"}, {"{", "\\{"}, {"}", "\\}"}, {"$", "\\$"}, {"&", "\\&"}, {"%", "\\%"}, {"#", "\\#"}, {"_", "\\_"},
             {"^", "\\textasciicircum{}"}, {"~", "\\textasciitilde{}"}, {"<", "\\textless{}"}, {">", "\\textgreater{}"}, {"|", "\\textbar{}"},
             {"\"", "\\textquotedbl{}"}, {"'", "\\textquotesingle{}"}, {"`", "\\textasciigrave{}"}, {"[", "{[}"}, {"]", "{]}"}, {"*", "{*}"}, {"--", "-{}-"},
             {"–", "--"}, {"−", "$-$"}, {"±", "$\\pm$"}, {"×", "$\\times$"}, {"·", "$\\cdot$"}, {"≤", "$\\leq$"}, {"≥", "$\\geq$"}, {"☑", "$\\boxtimes$"},
             {"☐", "$\\square$"}, {"\x01", "\\allowbreak{}"}, {"\n", " "}, {"\r", " "}, {"\t", " "}});
}

// Marks where a long word, a hash say, may break: each 16 letters, as \x01.
std::string Breakable(const std::string& text) {
  std::string out;
  size_t run = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t end = std::min(text.find(' ', i), text.size());
    if (text[i] == ' ') run = 0;
    if (run > 0 && run % 16 == 0 && run + end - i > 32 && (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) out += '\x01';
    if (text[i] != ' ') ++run;
    if (text[i] != '\x01') out += text[i];
  }
  return out;
}

// An exponent behind "^" raised, as the page does; the rest escaped.
std::string Tex(const std::string& unbroken) {
  const std::string text = Breakable(unbroken);
  std::string out;
  size_t from = 0;
  for (size_t hat = text.find('^'); hat != std::string::npos; hat = text.find('^', from)) {
    size_t end = hat + 1;
    while (end < text.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text[end])) || text[end] == '.' || text[end] == '-')) ++end;
    while (end > hat + 1 && text[end - 1] == '.') --end;  // the sentence's
    absl::StrAppend(&out, Escape(text.substr(from, hat - from)));
    if (end == hat + 1) {
      out += "\\textasciicircum{}";
    } else {
      absl::StrAppend(&out, "\\textsuperscript{", Escape(text.substr(hat + 1, end - hat - 1)), "}");
    }
    from = end;
  }
  return out + Escape(text.substr(from));
}

// How the columns stand: l, r, or a paragraph for long text, which share what the
// others leave of the line; and whether all of it is wider than a line.
struct Layout {
  std::string kinds;
  bool is_wide = false;
};

Layout LayoutOf(const Table& table) {
  constexpr double kLetters = 84;  // of a line in \small
  std::vector<size_t> widest;
  for (const Column& column : table.columns) widest.push_back(column.label.size());
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t c = 0; c < std::min(row.size(), widest.size()); ++c) widest[c] = std::max(widest[c], row[c].text.size());
  }
  const auto wraps = [&](size_t c) { return !table.columns[c].numeric && widest[c] > kLongText; };
  int paragraphs = 0;
  double letters = 0;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    paragraphs += wraps(c) ? 1 : 0;
    letters += 2 + (wraps(c) ? 0 : static_cast<double>(widest[c]));
  }
  const double share = paragraphs == 0 ? 0 : std::max(0.25, (kLetters - letters) / kLetters / paragraphs);
  Layout layout;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    absl::StrAppend(&layout.kinds, wraps(c) ? absl::StrFormat("p{%.2f\\linewidth}", share) : table.columns[c].numeric ? "r" : "l");
  }
  layout.is_wide = letters + share * paragraphs * kLetters > kLetters + 0.5;
  return layout;
}

std::string RowTex(const std::vector<std::string>& cells) { return absl::StrCat(absl::StrJoin(cells, " & "), " \\\\\n"); }

}  // namespace

std::string RenderTableLatex(const Table& table) {
  const bool is_long = table.rows.size() > kRowsOfAPage;
  const std::string caption = absl::StrCat("\\caption{", Tex(table.title), table.caption.empty() ? "." : ". ", Tex(table.caption), "}");
  const std::string label = absl::StrCat("\\label{tab:", table.name, "}");
  std::vector<std::string> heads;
  for (const Column& column : table.columns) heads.push_back(Tex(column.label));
  std::string body;
  for (const std::vector<Cell>& row : table.rows) {
    std::vector<std::string> cells;
    for (const Cell& cell : row) cells.push_back(cell.dim ? absl::StrCat("\\textcolor{gray}{", Tex(cell.text), "}") : Tex(cell.text));
    body += RowTex(cells);
  }
  const Layout layout = LayoutOf(table);
  const std::string needs = "% needs \\usepackage[T1]{fontenc}, booktabs, textcomp, amssymb, xcolor";
  std::vector<std::string> keys;
  std::string cites = absl::StrCat(table.title, " ", table.caption);
  for (const std::vector<Cell>& row : table.rows) absl::StrAppend(&cites, " ", row.empty() ? "" : row.front().text);
  for (const Reference* reference : CitedIn(cites)) keys.push_back(reference->key);
  std::string out = absl::StrCat(needs, is_long ? ", longtable" : layout.is_wide ? ", graphicx" : "", "\n", keys.empty() ? "" : absl::StrCat("% cites: \\cite{", absl::StrJoin(keys, ","), "}, references.bib\n"));
  if (is_long) {
    absl::StrAppend(&out, layout.is_wide ? "{\\scriptsize\\setlength{\\tabcolsep}{3pt}\n" : "{\\small\n", "\\begin{longtable}{", layout.kinds, "}\n", caption, label, "\\\\\n\\toprule\n", RowTex(heads), "\\midrule\n\\endfirsthead\n\\toprule\n",
                    RowTex(heads), "\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n", body, "\\end{longtable}\n}\n");
    return out;
  }
  // Wide tables shrink to the line rather than run off the page.
  absl::StrAppend(&out, "\\begin{table}\n\\centering\n\\small\n", caption, "\n", label, "\n", layout.is_wide ? "\\resizebox{\\linewidth}{!}{%\n" : "", "\\begin{tabular}{", layout.kinds,
                  "}\n\\toprule\n", RowTex(heads), "\\midrule\n", body, "\\bottomrule\n\\end{tabular}", layout.is_wide ? "}" : "", "\n\\end{table}\n");
  return out;
}

}  // namespace isoflop
