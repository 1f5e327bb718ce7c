// The page: one file that loads nothing.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "analysis/report/embedded_files.h"
#include "analysis/report/plotly_writer.h"
#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"

namespace isoflop {
namespace {

std::string E(const std::string& text) { return EscapeXml(text); }

// Prose: `code` between backticks, **bold**, and an exponent behind "^" raised.
std::string Prose(const std::string& text) {
  std::string out;
  bool in_code = false, in_bold = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!in_code && text.compare(i, 2, "**") == 0 && (in_bold || text.find("**", i + 2) != std::string::npos)) {
      out += in_bold ? "</strong>" : "<strong>";
      in_bold = !in_bold;
      ++i;
      continue;
    }
    if (text[i] == '`' && (in_code || text.find('`', i + 1) != std::string::npos)) {
      out += in_code ? "</code>" : "<code>";
      in_code = !in_code;
    } else if (text[i] == '^' && !in_code) {
      size_t end = i + 1;
      while (end < text.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text[end])) || text[end] == '.' || text[end] == '-')) ++end;
      while (end > i + 1 && text[end - 1] == '.') --end;  // the sentence's
      absl::StrAppend(&out, "<sup>", E(text.substr(i + 1, end - i - 1)), "</sup>");
      i = end - 1;
    } else {
      out += E(text.substr(i, 1));
    }
  }
  return out;
}

std::string NoteList(const std::vector<ReportNote>& notes, const char* kind) {
  if (notes.empty()) return "";
  std::string out = "<ul class=\"notes\">\n";
  for (const ReportNote& note : notes) {
    absl::StrAppend(&out, "<li class=\"", kind, "\"><code>", E(note.code), "</code>", Prose(note.text));
    if (!note.cure.empty()) absl::StrAppend(&out, "<span class=\"cure\">Cure: ", Prose(note.cure), "</span>");
    absl::StrAppend(&out, "</li>\n");
  }
  return out + "</ul>\n";
}

std::string FigureHtml(const Figure& figure) {
  return absl::StrCat("<figure id=\"box-", E(figure.name), "\">\n<p class=\"title\"><span><b>", E(figure.number), "</b>", E(figure.title),
                      "</span></p>\n<div class=\"plot\"><div class=\"still\">\n", RenderSvg(figure), "</div></div>\n<figcaption>", Prose(figure.caption),
                      "</figcaption>\n</figure>\n");
}

std::string TableHtml(const Table& table) {
  std::string body = absl::StrCat("<div class=\"scroll\"><table id=\"", E(table.name), "\">\n<caption>");
  if (!table.number.empty()) absl::StrAppend(&body, "<b>", E(table.number), "</b>");
  absl::StrAppend(&body, Prose(table.title), "</caption>\n<thead><tr>");
  for (const Column& column : table.columns) {
    absl::StrAppend(&body, "<th scope=\"col\"", column.numeric ? " class=\"n\"" : "", ">", Prose(column.label), "</th>");
  }
  absl::StrAppend(&body, "</tr></thead>\n<tbody>\n");
  for (const std::vector<Cell>& row : table.rows) {
    body += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      const bool numeric = c < table.columns.size() && table.columns[c].numeric;
      const char* kind = numeric && row[c].dim ? " class=\"n dim\"" : numeric ? " class=\"n\"" : row[c].dim ? " class=\"dim\"" : "";
      absl::StrAppend(&body, "<td", kind, ">", c == 0 ? Prose(row[c].text) : E(row[c].text), "</td>");
    }
    body += "</tr>\n";
  }
  absl::StrAppend(&body, "</tbody></table></div>\n");
  if (!table.caption.empty()) absl::StrAppend(&body, "<p class=\"under\">", Prose(table.caption), "</p>\n");
  if (!table.folded) return body;
  return absl::StrCat("<details><summary>", E(table.title), " (", table.rows.size(), ")</summary>\n", body, "</details>\n");
}

bool IsNarrow(const Block& block) { return block.kind == Block::Kind::kFigure && block.figure.width_inches < 4; }

std::string SectionHtml(const ReportSection& section, size_t number) {
  std::string out = absl::StrCat("<section id=\"", E(section.id), "\">\n<h2><span>", number, "</span>", E(section.title), "</h2>\n");
  for (size_t b = 0; b < section.blocks.size(); ++b) {
    const Block& block = section.blocks[b];
    switch (block.kind) {
      case Block::Kind::kText: absl::StrAppend(&out, "<p>", Prose(block.text), "</p>\n"); break;
      case Block::Kind::kTable: out += TableHtml(block.table); break;
      case Block::Kind::kCode:
        absl::StrAppend(&out, "<details><summary>", E(block.title), "</summary>\n<pre>", E(block.text), "</pre></details>\n");
        break;
      case Block::Kind::kFigure:
        // Two figures of one column's width stand side by side.
        if (IsNarrow(block) && b + 1 < section.blocks.size() && IsNarrow(section.blocks[b + 1])) {
          absl::StrAppend(&out, "<div class=\"pair\">\n", FigureHtml(block.figure), FigureHtml(section.blocks[b + 1].figure), "</div>\n");
          ++b;
        } else if (IsNarrow(block)) {
          absl::StrAppend(&out, "<div class=\"pair\">\n", FigureHtml(block.figure), "</div>\n");  // not blown up
        } else {
          out += FigureHtml(block.figure);
        }
        break;
    }
  }
  return out + "</section>\n";
}

std::string Header(const Report& report) {
  std::string out = absl::StrCat("<header>\n<h1>", E(report.title), "</h1>\n");
  if (!report.description.empty()) absl::StrAppend(&out, "<p class=\"lead\">", E(report.description), "</p>\n");
  out += "<dl class=\"facts\">\n";
  for (const auto& [label, text] : report.facts) absl::StrAppend(&out, "<div><dt>", E(label), "</dt><dd>", E(text), "</dd></div>\n");
  out += "</dl>\n</header>\n<section class=\"verdict\" aria-label=\"Verdict\">\n<h2>Verdict</h2>\n";
  for (size_t i = 0; i < report.verdict.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "<p class=\"headline\">" : "<p>", Prose(report.verdict[i]), "</p>\n");
  }
  absl::StrAppend(&out, "</section>\n", NoteList(report.refusals, "refusal"), NoteList(report.warnings, "warning"));
  out += "<nav aria-label=\"Contents\"><ol>\n";
  for (size_t s = 0; s < report.sections.size(); ++s) {
    absl::StrAppend(&out, "<li><a href=\"#", E(report.sections[s].id), "\">", s + 1, " ", E(report.sections[s].title), "</a></li>\n");
  }
  return out + "</ol></nav>\n";
}

}  // namespace

std::string RenderHtml(const Report& report, const HtmlOptions& options) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
      "img-src data: blob:; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  absl::StrAppend(&out, "<meta name=\"generator\" content=\"isoflop ", E(report.program_version), "\">\n<title>", E(report.title),
                  ": scaling law</title>\n<style>\n", std::string(PageCss()), "</style>\n</head>\n<body>\n", Header(report), "<main>\n");
  for (size_t s = 0; s < report.sections.size(); ++s) out += SectionHtml(report.sections[s], s + 1);
  absl::StrAppend(&out, "</main>\n<footer>isoflop ", E(report.program_version), ". Tables and figures as CSV, SVG and JSON lie beside this file.</footer>\n");
  if (!options.plotly_gzip.empty()) {
    // Data, not code: a browser does not run a script of this type.
    absl::StrAppend(&out, "<script type=\"text/plain\" id=\"plotly-gzip\">", absl::Base64Escape(options.plotly_gzip), "</script>\n");
    out += "<script type=\"application/json\" id=\"figures\">[\n";
    bool first = true;
    for (const Figure* figure : report.Figures()) {
      absl::StrAppend(&out, first ? "" : ",\n", RenderPlotly(*figure));
      first = false;
    }
    out += "\n]</script>\n";
  }
  absl::StrAppend(&out, "<script>\n", std::string(PageScript()), "</script>\n</body>\n</html>\n");
  return out;
}

}  // namespace isoflop
