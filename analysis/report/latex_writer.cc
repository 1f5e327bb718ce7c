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
             {"☐", "$\\square$"}, {"\xC2\xA0", "~"}, {"\n", " "}, {"\r", " "}, {"\t", " "}});
}

// An exponent behind "^" raised, as the page does; the rest escaped.
std::string Tex(const std::string& text) {
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

// l, r, or a paragraph for long text; the paragraphs share most of the line.
std::string ColumnKinds(const Table& table) {
  std::vector<size_t> widest(table.columns.size(), 0);
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t c = 0; c < std::min(row.size(), widest.size()); ++c) widest[c] = std::max(widest[c], row[c].text.size());
  }
  const auto wraps = [&](size_t c) { return !table.columns[c].numeric && widest[c] > kLongText; };
  int paragraphs = 0;
  for (size_t c = 0; c < table.columns.size(); ++c) paragraphs += wraps(c) ? 1 : 0;
  const size_t others = table.columns.size() - static_cast<size_t>(paragraphs);
  const double share = paragraphs == 0 ? 0 : std::max(0.18, (0.95 - 0.09 * static_cast<double>(others)) / paragraphs);
  std::string kinds;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    absl::StrAppend(&kinds, wraps(c) ? absl::StrFormat("p{%.2f\\linewidth}", share) : table.columns[c].numeric ? "r" : "l");
  }
  return kinds;
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
    for (const Cell& cell : row) cells.push_back(Tex(cell.text));
    body += RowTex(cells);
  }
  std::string needs = "% needs \\usepackage[T1]{fontenc}, booktabs, textcomp, amssymb";
  std::vector<std::string> keys;
  std::string cites = absl::StrCat(table.title, " ", table.caption);
  for (const std::vector<Cell>& row : table.rows) absl::StrAppend(&cites, " ", row.empty() ? "" : row.front().text);
  for (const Reference* reference : CitedIn(cites)) keys.push_back(reference->key);
  std::string out = absl::StrCat(needs, is_long ? ", longtable" : "", "\n", keys.empty() ? "" : absl::StrCat("% cites: \\cite{", absl::StrJoin(keys, ","), "}, references.bib\n"));
  if (is_long) {
    absl::StrAppend(&out, "{\\small\n\\begin{longtable}{", ColumnKinds(table), "}\n", caption, label, "\\\\\n\\toprule\n", RowTex(heads), "\\midrule\n\\endfirsthead\n\\toprule\n",
                    RowTex(heads), "\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n", body, "\\end{longtable}\n}\n");
    return out;
  }
  // Wide tables shrink to the line rather than run off the page.
  const std::string kinds = ColumnKinds(table);
  const bool shrinks = table.columns.size() > 6 && !absl::StrContains(kinds, "p{");
  absl::StrAppend(&out, "\\begin{table}\n\\centering\n\\small\n", caption, "\n", label, "\n", shrinks ? "\\resizebox{\\linewidth}{!}{%\n" : "", "\\begin{tabular}{", kinds,
                  "}\n\\toprule\n", RowTex(heads), "\\midrule\n", body, "\\bottomrule\n\\end{tabular}", shrinks ? "}" : "", "\n\\end{table}\n");
  if (shrinks) out.replace(out.find(", amssymb"), 9, ", amssymb, graphicx");
  return out;
}

}  // namespace isoflop
