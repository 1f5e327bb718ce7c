// The report's files, and where plotly comes from.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analysis/report/embedded_files.h"
#include "analysis/report/references.h"
#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"
#include "study/status_macros.h"

extern char** environ;

namespace isoflop {
namespace {

namespace fs = std::filesystem;

// Under a temporary name first: nobody opens half a page.
absl::Status WriteFile(const fs::path& path, const std::string& content) {
  const fs::path temporary = path.string() + ".part";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.flush();
    if (!out) {
      return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be written: ", std::strerror(errno),
                                                 "\ncure: -o DIR with a folder that can be written and has room"));
    }
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be written: ", error.message(), "\ncure: -o DIR"));
  return absl::OkStatus();
}

absl::Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be made: ", error.message(), "\ncure: -o DIR"));
  return absl::OkStatus();
}

// Runs `rsvg-convert` quietly; false when it is missing or fails.
bool ConvertSvg(const fs::path& svg, const fs::path& out, const char* format, const char* zoom) {
  const std::string from = svg.string(), to = out.string();
  const char* const argv[] = {"rsvg-convert", "-f", format, "-z", zoom, "-o", to.c_str(), from.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  // Without it a PDF carries the time at which it was made.
  std::string epoch = "SOURCE_DATE_EPOCH=0";
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "SOURCE_DATE_EPOCH=")) environment.push_back(*variable);
  }
  environment.push_back(epoch.data());
  environment.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, argv[0], &actions, nullptr, const_cast<char* const*>(argv), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return false;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// gzip without a time stamp: the same bytes each time.
std::string Gzip(const std::string& content) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return "";
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace

absl::StatusOr<WrittenReport> WriteReport(const Report& report, const std::string& directory, const WriteReportOptions& options) {
  const fs::path root(directory), figures = root / "figures", tables = root / "tables";
  for (const fs::path& folder : {root, figures, tables}) ISOFLOP_RETURN_IF_ERROR(MakeFolder(folder));
  WrittenReport written{.html_path = (root / "report.html").string()};
  const std::string html = RenderHtml(report, options.html);
  written.html_bytes = static_cast<int64_t>(html.size());
  ISOFLOP_RETURN_IF_ERROR(WriteFile(written.html_path, html));
  ISOFLOP_RETURN_IF_ERROR(WriteFile(root / "report.md", RenderMarkdown(report)));
  ISOFLOP_RETURN_IF_ERROR(WriteFile(root / "report.json", RenderJson(report)));
  ISOFLOP_RETURN_IF_ERROR(WriteFile(root / "references.bib", ReferencesBib()));
  bool converts = options.convert;
  for (const Figure* figure : report.Figures()) {
    const fs::path svg = figures / (figure->name + ".svg");
    ISOFLOP_RETURN_IF_ERROR(WriteFile(svg, RenderSvg(*figure)));
    ISOFLOP_RETURN_IF_ERROR(WriteFile(figures / (figure->name + ".csv"), FigureCsv(*figure)));
    converts = converts && ConvertSvg(svg, figures / (figure->name + ".pdf"), "pdf", "1") &&
               ConvertSvg(svg, figures / (figure->name + ".png"), "png", "2");
    written.converted = written.converted || converts;
    ++written.figures;
  }
  for (const Table* table : report.Tables()) {
    ISOFLOP_RETURN_IF_ERROR(WriteFile(tables / (table->name + ".csv"), RenderTableCsv(*table)));
    ISOFLOP_RETURN_IF_ERROR(WriteFile(tables / (table->name + ".tex"), RenderTableLatex(*table)));
    ++written.tables;
  }
  return written;
}

absl::StatusOr<absl::string_view> FindPlotly(const std::string& choice, std::string* storage) {
  if (choice == "off") return absl::string_view();
  if (choice == "auto" || choice.empty()) return PlotlyGzip();
  std::ifstream in(choice, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(choice, ": no such file\ncure: --js auto (what was built in), --js off, or a plotly.min.js"));
  }
  std::string content{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  *storage = absl::StartsWith(content, "\x1f\x8b") ? std::move(content) : Gzip(content);
  return absl::string_view(*storage);
}

}  // namespace isoflop
