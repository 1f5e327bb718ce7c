// The Report as "isoflop.report/1", and back.
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/report/json_numbers.h"
#include "analysis/report/report.h"
#include "analysis/report/report_parts.h"

namespace isoflop {
namespace {

using nlohmann::json;

// One list of fields a struct, walked by a writer and by a reader: what is written
// is what is read.
class Writer {
 public:
  explicit Writer(json* to) : to_(to) {}
  void operator()(const char* key, std::string& v) { (*to_)[key] = v; }
  void operator()(const char* key, bool& v) { (*to_)[key] = v; }
  void operator()(const char* key, double& v) { (*to_)[key] = ResultNumber(v); }
  void operator()(const char* key, std::optional<double>& v) { (*to_)[key] = ResultNumber(v); }
  void operator()(const char* key, std::vector<double>& v) { (*to_)[key] = ResultNumbers(v); }
  void operator()(const char* key, std::vector<std::string>& v) { (*to_)[key] = v; }
  template <typename E>
    requires std::is_enum_v<E>
  void operator()(const char* key, E& v, std::initializer_list<const char*> names) {
    (*to_)[key] = names.begin()[static_cast<size_t>(v)];
  }
  template <typename T, typename F>
  void Struct(const char* key, T& v, F fields) {
    json object = json::object();
    Writer inner(&object);
    fields(inner, v);
    (*to_)[key] = std::move(object);
  }
  template <typename T, typename F>
  void List(const char* key, std::vector<T>& values, F fields) {
    json list = json::array();
    for (T& value : values) {
      json object = json::object();
      Writer inner(&object);
      fields(inner, value);
      list.push_back(std::move(object));
    }
    (*to_)[key] = std::move(list);
  }
  template <typename T, typename F>
  void Maybe(const char* key, std::optional<T>& v, F fields) {
    if (v.has_value()) {
      Struct(key, *v, fields);
    } else {
      (*to_)[key] = nullptr;
    }
  }

 private:
  json* to_;
};

// nlohmann throws where a key is missing or of another type; ParseReportJson
// turns that into a Status.
class Reader {
 public:
  explicit Reader(const json* from) : from_(from) {}
  void operator()(const char* key, std::string& v) { v = from_->at(key).get<std::string>(); }
  void operator()(const char* key, bool& v) { v = from_->at(key).get<bool>(); }
  void operator()(const char* key, double& v) { v = Number(from_->at(key)); }
  void operator()(const char* key, std::optional<double>& v) {
    const json& value = from_->at(key);
    v = value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
  }
  void operator()(const char* key, std::vector<double>& v) {
    for (const json& value : from_->at(key)) v.push_back(Number(value));
  }
  void operator()(const char* key, std::vector<std::string>& v) { v = from_->at(key).get<std::vector<std::string>>(); }
  template <typename E>
    requires std::is_enum_v<E>
  void operator()(const char* key, E& v, std::initializer_list<const char*> names) {
    const std::string text = from_->at(key).get<std::string>();
    for (size_t i = 0; i < names.size(); ++i) {
      if (text == names.begin()[i]) {
        v = static_cast<E>(i);
        return;
      }
    }
    throw std::invalid_argument(absl::StrCat("unknown ", key, " '", text, "'"));
  }
  template <typename T, typename F>
  void Struct(const char* key, T& v, F fields) {
    Reader inner(&from_->at(key));
    fields(inner, v);
  }
  template <typename T, typename F>
  void List(const char* key, std::vector<T>& values, F fields) {
    for (const json& element : from_->at(key)) {
      Reader inner(&element);
      fields(inner, values.emplace_back());
    }
  }
  template <typename T, typename F>
  void Maybe(const char* key, std::optional<T>& v, F fields) {
    if (from_->at(key).is_null()) return;
    v.emplace();
    Struct(key, *v, fields);
  }

 private:
  static double Number(const json& value) { return value.is_null() ? NAN : value.get<double>(); }
  const json* from_;
};

// Leaves ten digits of every number, as the JSON does.
class Rounder {
 public:
  void operator()(const char*, double& v) { v = Round(v); }
  void operator()(const char*, std::optional<double>& v) {
    if (v.has_value()) v = Round(*v);
  }
  void operator()(const char*, std::vector<double>& v) {
    for (double& value : v) value = Round(value);
  }
  void operator()(const char*, std::string&) {}
  void operator()(const char*, bool&) {}
  void operator()(const char*, std::vector<std::string>&) {}
  template <typename E>
    requires std::is_enum_v<E>
  void operator()(const char*, E&, std::initializer_list<const char*>) {}
  template <typename T, typename F>
  void Struct(const char*, T& v, F fields) {
    fields(*this, v);
  }
  template <typename T, typename F>
  void List(const char*, std::vector<T>& values, F fields) {
    for (T& value : values) fields(*this, value);
  }
  template <typename T, typename F>
  void Maybe(const char*, std::optional<T>& v, F fields) {
    if (v.has_value()) fields(*this, *v);
  }

 private:
  static double Round(double value) { return std::isfinite(value) ? ResultNumber(value).get<double>() : NAN; }
};

struct AxisFields {
  void operator()(auto& io, Axis& v) const {
    io("label", v.label);
    io("scale", v.scale, {"linear", "log"});
    io("notation", v.notation, {"short", "power"});
    io("lo", v.lo);
    io("hi", v.hi);
  }
};

struct SeriesFields {
  void operator()(auto& io, Series& v) const {
    io("label", v.label);
    io("x", v.x);
    io("y", v.y);
    io("lo", v.lo);
    io("hi", v.hi);
    io("x_lo", v.x_lo);
    io("x_hi", v.x_hi);
    io("z", v.z);
    io("line", v.line);
    io("mark", v.mark, {"none", "circle", "square", "diamond", "triangle", "cross"});
    io("hollow", v.hollow);
    io("dashed", v.dashed);
    io("dotted", v.dotted);
    io("color", v.color);
    io("line_width", v.line_width);
    io("mark_size", v.mark_size);
    io("hover", v.hover);
    io("ignored_by_range", v.ignored_by_range);
  }
};

struct FieldFields {
  void operator()(auto& io, Field& v) const {
    io("x", v.x);
    io("y", v.y);
    io("z", v.z);
    io("label", v.label);
    io("levels", v.levels);
  }
};

struct FigureFields {
  void operator()(auto& io, Figure& v) const {
    io("name", v.name);
    io("number", v.number);
    io("title", v.title);
    io("caption", v.caption);
    io("kind", v.kind, {"plot", "contour", "surface"});
    io.Struct("x", v.x, AxisFields());
    io.Struct("y", v.y, AxisFields());
    io.List("series", v.series, SeriesFields());
    io.Maybe("field", v.field, FieldFields());
    io("offset_switch", v.offset_switch);
    io("offset_label", v.offset_label);
    io("width_inches", v.width_inches);
    io("height_inches", v.height_inches);
    io("legend", v.legend);
    io("color_lo", v.color_lo);
    io("color_hi", v.color_hi);
  }
};

struct ColumnFields {
  void operator()(auto& io, Column& v) const {
    io("key", v.key);
    io("label", v.label);
    io("numeric", v.numeric);
  }
};

struct CellFields {
  void operator()(auto& io, Cell& v) const {
    io("text", v.text);
    io("exact", v.exact);
    io("dim", v.dim);
  }
};

struct RowFields {
  void operator()(auto& io, std::vector<Cell>& v) const { io.List("cells", v, CellFields()); }
};

struct TableFields {
  void operator()(auto& io, Table& v) const {
    io("name", v.name);
    io("number", v.number);
    io("title", v.title);
    io("caption", v.caption);
    io.List("columns", v.columns, ColumnFields());
    io.List("rows", v.rows, RowFields());
    io("folded", v.folded);
  }
};

struct BlockFields {
  void operator()(auto& io, Block& v) const {
    io("kind", v.kind, {"text", "figure", "table", "code"});
    // Only the part that the kind names is there.
    switch (v.kind) {
      case Block::Kind::kFigure: io.Struct("figure", v.figure, FigureFields()); break;
      case Block::Kind::kTable: io.Struct("table", v.table, TableFields()); break;
      case Block::Kind::kCode: io("title", v.title); [[fallthrough]];
      case Block::Kind::kText: io("text", v.text); break;
    }
  }
};

struct SectionFields {
  void operator()(auto& io, ReportSection& v) const {
    io("id", v.id);
    io("title", v.title);
    io.List("blocks", v.blocks, BlockFields());
  }
};

struct NoteFields {
  void operator()(auto& io, ReportNote& v) const {
    io("code", v.code);
    io("text", v.text);
    io("cure", v.cure);
  }
};

struct FactFields {
  void operator()(auto& io, Fact& v) const {
    io("label", v.first);
    io("text", v.second);
  }
};

struct ReportFields {
  void operator()(auto& io, Report& v) const {
    io("title", v.title);
    io("description", v.description);
    io("program_version", v.program_version);
    io.List("facts", v.facts, FactFields());
    io("verdict", v.verdict);
    io.List("refusals", v.refusals, NoteFields());
    io.List("warnings", v.warnings, NoteFields());
    io.List("sections", v.sections, SectionFields());
  }
};

}  // namespace

void RoundNumbers(Report* report) {
  Rounder rounder;
  ReportFields()(rounder, *report);
}

std::string RenderJson(const Report& report) {
  json out = json::object();
  Report copy = report;  // the list of fields is shared with the reader, which writes
  Writer writer(&out);
  ReportFields()(writer, copy);
  out["schema"] = "isoflop.report/1";
  out["analysis"] = report.analysis_json.empty() ? json(nullptr) : json::parse(report.analysis_json);
  return DumpJson(out) + "\n";
}

absl::StatusOr<Report> ParseReportJson(const std::string& text) {
  static constexpr char kCure[] = "\ncure: give the report.json that `isoflop report` wrote";
  Report report;
  try {
    const json object = json::parse(text);
    const std::string schema = object.at("schema").get<std::string>();
    if (schema != "isoflop.report/1") return absl::InvalidArgumentError(absl::StrCat("schema: '", schema, "' is not isoflop.report/1", kCure));
    Reader reader(&object);
    ReportFields()(reader, report);
    if (!object.at("analysis").is_null()) report.analysis_json = DumpJson(object.at("analysis"));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("not a report: ", error.what(), kCure));
  }
  return report;
}

}  // namespace isoflop
