#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "analysis/csv_table.h"
#include "analysis/expression.h"
#include "analysis/observations.h"
#include "study/did_you_mean.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// What a column may hold, and the headers that say so ("Model Size" and
// "model-size" read as "model_size"). The first role is our own export's header.
struct Role {
  const char* name;
  std::vector<const char*> headers;
};

const std::vector<Role>& Roles() {
  static const std::vector<Role>* const kRoles = new std::vector<Role>{
      {"params", {"params", "parameters", "n", "n_params", "num_params", "model_size", "eff_params", "n_star", "params_unnamed"}},
      {"params_embedding", {"params_embedding"}},
      {"params_position", {"params_position"}},
      {"params_head", {"params_head"}},
      {"params_blocks", {"params_blocks", "params_non_embedding", "n_no_embed"}},
      {"params_total", {"params_total"}},
      {"tokens", {"tokens_trained", "tokens", "training_tokens", "d", "n_tokens", "num_tokens", "t_star"}},
      {"flops", {"flops", "compute", "c", "training_flop", "training_flops", "compute_budget", "flops_given"}},
      {"flops_exact", {"flops_exact"}},
      {"budget", {"budget_flops"}},
      {"loss", {"final_loss_nats", "loss", "final_loss", "validation_loss", "val_loss", "eval_loss", "test_loss"}},
      {"loss_se", {"final_loss_se"}},
      {"bits_per_byte", {"bits_per_byte", "val_bpb", "bpb"}},
      {"unique_tokens", {"unique_tokens"}},
      {"seed", {"seed"}},
      {"trial", {"trial_id", "run_name", "run_id"}},
      {"fingerprint", {"fingerprint"}},
      {"outcome", {"outcome"}},
      {"eval_sha256", {"eval_sha256"}},
      {"tokenizer_sha256", {"tokenizer_sha256"}},
      {"n_layer", {"n_layer", "depth"}},
      {"d_model", {"d_model", "width"}},
      {"n_head", {"n_head"}},
      {"d_ff", {"d_ff"}},
      {"vocab_size", {"vocab_size"}},
      {"sequence_length", {"sequence_length"}},
      {"wall_seconds", {"wall_seconds"}},
      {"tokens_per_second", {"tokens_per_second"}},
      {"schedule", {"schedule"}},
      {"decay_steps", {"decay_steps"}},
  };
  return *kRoles;
}

// Lower case, runs of anything else as one underscore.
std::string Normal(const std::string& header) {
  std::string out;
  for (const char c : header) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out;
}

absl::Status Bad(const std::string& where, const std::string& what, const std::string& cure) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", what, "\ncure: ", cure));
}

std::vector<std::string> RoleNames() {
  std::vector<std::string> names;
  for (const Role& role : Roles()) names.push_back(role.name);
  return names;
}

// loss_c4_val of a table with a loss a text; not its bounds and errors.
bool IsNamedLoss(const std::string& normal) {
  if (!absl::StartsWith(normal, "loss_") && !absl::EndsWith(normal, "_loss")) return false;
  for (const char* other : {"lo95", "hi95", "std", "_se", "stderr", "predicted", "train", "star"}) {
    if (absl::StrContains(normal, other)) return false;
  }
  return true;
}

// role -> column.
using Columns = std::map<std::string, size_t>;

struct Derivation {
  std::string target;  // a role
  Expression expression;
};

// Splits "left=right"; both not empty.
absl::Status SplitPair(const std::string& text, const std::string& flag, const std::string& example, std::string* left,
                       std::string* right) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return Bad(flag, absl::StrCat("'", text, "' is not NAME=..."), absl::StrCat(flag, " ", example));
  }
  *left = text.substr(0, equals);
  *right = text.substr(equals + 1);
  if (right->size() >= 2 && right->front() == '"' && right->back() == '"') *right = right->substr(1, right->size() - 2);
  return absl::OkStatus();
}

absl::Status CheckRole(const std::string& role, const std::string& flag) {
  const std::vector<std::string> names = RoleNames();
  if (std::find(names.begin(), names.end(), role) != names.end()) return absl::OkStatus();
  return Bad(flag, absl::StrCat("'", role, "' is nothing that a row can hold", DidYouMeanClause(role, names)),
             absl::StrCat("one of ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<Columns> FindColumns(const CsvTable& table, const CsvOptions& options) {
  Columns columns;
  std::set<std::string> chosen;
  for (const std::string& pair : options.columns) {
    std::string role, header;
    ISOFLOP_RETURN_IF_ERROR(SplitPair(pair, "--column", "params=\"Model Size\"", &role, &header));
    ISOFLOP_RETURN_IF_ERROR(CheckRole(role, "--column"));
    const auto exact = std::find(table.header.begin(), table.header.end(), header);
    if (exact == table.header.end()) {
      return Bad(table.name, absl::StrCat("no column '", header, "'", DidYouMeanClause(header, table.header)),
                 absl::StrCat("one of ", absl::StrJoin(table.header, ", ")));
    }
    columns[role] = static_cast<size_t>(exact - table.header.begin());
    chosen.insert(role);
  }
  std::vector<std::string> normal;
  for (const std::string& header : table.header) normal.push_back(Normal(header));
  for (const Role& role : Roles()) {
    if (chosen.contains(role.name)) continue;
    std::vector<size_t> found;
    for (size_t i = 0; i < normal.size(); ++i) {
      const bool known = std::find(role.headers.begin(), role.headers.end(), normal[i]) != role.headers.end();
      if (known || (std::string(role.name) == "loss" && IsNamedLoss(normal[i]))) found.push_back(i);
    }
    // Our own header decides among several; a column that --column gave another
    // meaning does not count.
    const auto own = std::find_if(found.begin(), found.end(), [&](size_t i) {
      return normal[i] == role.headers.front() && std::string(role.name) != "params";
    });
    if (own != found.end() && (std::string(role.name) != "loss" || normal[*own] == "final_loss_nats")) found = {*own};
    std::erase_if(found, [&](size_t i) {
      return std::any_of(columns.begin(), columns.end(),
                         [&](const auto& entry) { return entry.second == i && chosen.contains(entry.first); });
    });
    if (found.size() > 1) {
      std::vector<std::string> names;
      for (const size_t i : found) names.push_back(table.header[i]);
      return Bad(table.name, absl::StrCat(found.size(), " columns may be the ", role.name, ": ", absl::StrJoin(names, ", ")),
                 absl::StrCat("--column ", role.name, "=\"", names.front(), "\""));
    }
    if (found.size() == 1) columns[role.name] = found.front();
  }
  return columns;
}

// One row's cells as numbers and texts, by role or by header.
class RowReader {
 public:
  RowReader(const CsvTable& table, const Columns& columns, const CsvRow& row)
      : table_(table), columns_(columns), row_(row) {}

  std::string Text(const std::string& role) const {
    const auto column = columns_.find(role);
    return column == columns_.end() ? "" : row_.cells[column->second];
  }

  // nullopt: no such column or an empty cell. The first bad cell is kept in
  // status().
  std::optional<double> Number(const std::string& role) {
    const auto column = columns_.find(role);
    return column == columns_.end() ? std::nullopt : Cell(column->second);
  }

  int64_t Whole(const std::string& role) {
    const double value = Number(role).value_or(0);
    return std::abs(value) < 9e15 ? std::llround(value) : 0;
  }

  std::optional<double> ByHeaderOrRole(const std::string& name) {
    if (columns_.contains(name)) return Number(name);
    for (size_t i = 0; i < table_.header.size(); ++i) {
      if (table_.header[i] == name || Normal(table_.header[i]) == Normal(name)) return Cell(i);
    }
    return std::nullopt;
  }

  std::string where() const { return absl::StrCat(table_.name, ":", row_.line); }
  const absl::Status& status() const { return status_; }

 private:
  std::optional<double> Cell(size_t column) {
    const std::string& cell = row_.cells[column];
    if (cell.empty()) return std::nullopt;
    double value = 0;
    if (!absl::SimpleAtod(cell, &value)) {
      if (status_.ok()) {
        status_ = Bad(where(), absl::StrCat("column '", table_.header[column], "': '", cell, "' is not a number"),
                      "a number such as 125000000 or 1.25e8, or an empty cell");
      }
      return std::nullopt;
    }
    return value;
  }

  const CsvTable& table_;
  const Columns& columns_;
  const CsvRow& row_;
  absl::Status status_;
};

absl::StatusOr<std::vector<Derivation>> ParseDerivations(const CsvTable& table, const Columns& columns,
                                                         const CsvOptions& options) {
  std::vector<Derivation> derivations;
  for (const std::string& pair : options.derivations) {
    std::string target, text;
    ISOFLOP_RETURN_IF_ERROR(SplitPair(pair, "--derive", "tokens=flops/(6*params)", &target, &text));
    ISOFLOP_RETURN_IF_ERROR(CheckRole(target, "--derive"));
    absl::StatusOr<Expression> expression = Expression::Parse(text);
    if (!expression.ok()) return Bad("--derive", std::string(expression.status().message()), "--derive tokens=flops/(6*params)");
    std::vector<std::string> known = table.header;
    for (const auto& [role, column] : columns) known.push_back(role);
    for (const Derivation& earlier : derivations) known.push_back(earlier.target);
    for (const std::string& name : expression->Names()) {
      const bool there = std::any_of(known.begin(), known.end(),
                                     [&](const std::string& other) { return other == name || Normal(other) == Normal(name); });
      if (!there) {
        return Bad("--derive", absl::StrCat("no column '", name, "' in ", table.name, DidYouMeanClause(name, known)),
                   absl::StrCat("one of ", absl::StrJoin(known, ", ")));
      }
    }
    derivations.push_back({target, *std::move(expression)});
  }
  return derivations;
}

// The header that is most likely a misspelt one of `role`; nullopt: none is near.
std::optional<std::string> NearestHeader(const CsvTable& table, const std::string& role) {
  for (const Role& known : Roles()) {
    if (role != known.name) continue;
    for (const char* header : known.headers) {
      if (std::string(header).size() < 3) continue;  // a letter is near to everything
      if (std::optional<std::string> meant = DidYouMean(header, table.header)) return meant;
    }
  }
  return std::nullopt;
}

// Is there a column or a derivation for what a fit needs?
absl::Status CheckNeeds(const CsvTable& table, const Columns& columns, const std::vector<Derivation>& derivations) {
  const auto has = [&](const std::string& role) {
    return columns.contains(role) || std::any_of(derivations.begin(), derivations.end(),
                                                 [&](const Derivation& d) { return d.target == role; });
  };
  const auto missing = [&](const std::string& what, const std::string& role) {
    const std::optional<std::string> meant = NearestHeader(table, role);
    return Bad(table.name,
               absl::StrCat("no column for ", what, "; there are ", absl::StrJoin(table.header, ", "),
                            meant ? absl::StrCat("; did you mean '", *meant, "'?") : ""),
               absl::StrCat("--column ", role, "=\"", meant.value_or(table.header.front()), "\""));
  };
  if (!has("loss") && !has("bits_per_byte")) return missing("the loss", "loss");
  const bool params = has("params") || has("params_blocks") || has("params_total"), tokens = has("tokens"), flops = has("flops");
  if (params + tokens + flops >= 2) return absl::OkStatus();
  if (!params && !flops) return missing("the parameters N, nor for the FLOPs C that would give them", "params");
  if (!tokens && !flops) return missing("the tokens D, nor for the FLOPs C that would give them", "tokens");
  return missing("the parameters N or the tokens D", params ? "tokens" : "params");
}

absl::Status FillOutcome(const std::string& text, const std::string& where, Observation* row) {
  if (text.empty()) return absl::OkStatus();
  const std::optional<TrialOutcome> outcome = ParseTrialOutcome(text);
  if (!outcome) return Bad(where, absl::StrCat("column 'outcome': '", text, "' is no outcome"), "completed, or diverged");
  row->outcome = *outcome;
  return absl::OkStatus();
}

// Our export says how the schedule went: a constant rate never reached its end.
void FillSchedule(RowReader& in, Observation* row) {
  const std::string schedule = in.Text("schedule");
  if (schedule == "cosine") row->schedule_ended = true;
  if (schedule == "wsd") row->schedule_ended = in.Number("decay_steps").value_or(0) > 0;
}

absl::StatusOr<Observation> ReadRow(const CsvTable& table, const Columns& columns,
                                    const std::vector<Derivation>& derivations, const CsvRow& cells) {
  RowReader in(table, columns, cells);
  std::map<std::string, double> derived;
  for (const Derivation& derivation : derivations) {
    const std::optional<double> value = derivation.expression.Evaluate([&](const std::string& name) {
      const auto earlier = derived.find(name);
      return earlier != derived.end() ? std::optional<double>(earlier->second) : in.ByHeaderOrRole(name);
    });
    if (value) derived[derivation.target] = *value;
  }
  const auto number = [&](const std::string& role) {
    const auto found = derived.find(role);
    return found != derived.end() ? std::optional<double>(found->second) : in.Number(role);
  };

  Observation row;
  row.source = in.where();
  row.trial_id = in.Text("trial");
  row.fingerprint = in.Text("fingerprint");
  row.eval_sha256 = in.Text("eval_sha256");
  row.tokenizer_sha256 = in.Text("tokenizer_sha256");
  row.params_embedding = number("params_embedding");
  row.params_position = number("params_position");
  row.params_head = number("params_head");
  row.params_blocks = number("params_blocks");
  const std::optional<double> total = number("params_total").has_value() ? number("params_total") : number("params");
  if (row.params_blocks && !row.params_embedding && !row.params_head && total) {
    // Two counts, with and without embeddings: the rest is the embedding.
    row.params_embedding = *total - *row.params_blocks;
  }
  if (!row.params_blocks) row.params_unnamed = total;
  std::optional<double> tokens = number("tokens");
  row.flops_given = number("flops");
  row.flops_exact = number("flops_exact");
  row.tokens_derived = derived.contains("tokens") || derived.contains("params");
  if (!tokens && row.flops_given && total) {
    tokens = *row.flops_given / (6 * *total);
    row.tokens_derived = true;
  } else if (tokens && row.flops_given && !total && !row.params_blocks) {
    row.params_unnamed = *row.flops_given / (6 * *tokens);
    row.tokens_derived = true;
  }
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  row.tokens_trained = tokens.value_or(kNan);
  row.unique_tokens = number("unique_tokens");
  row.budget_flops = number("budget");
  row.final_loss_nats = number("loss").value_or(kNan);
  row.bits_per_byte = number("bits_per_byte");
  row.final_loss_se = number("loss_se");
  row.seed = in.Whole("seed");
  row.d_model = in.Whole("d_model");
  row.n_layer = in.Whole("n_layer");
  row.n_head = in.Whole("n_head");
  row.d_ff = in.Whole("d_ff");
  row.vocab_size = in.Whole("vocab_size");
  row.sequence_length = in.Whole("sequence_length");
  row.wall_seconds = number("wall_seconds").value_or(0);
  row.tokens_per_second = number("tokens_per_second");
  if (columns.contains("seed")) {
    row.config_id = absl::StrFormat("%.17g,%.17g,%d,%d,%d,%d", total.value_or(row.params_blocks.value_or(0)),
                                    row.tokens_trained, row.d_model, row.n_layer, row.n_head, row.d_ff);
  }
  FillSchedule(in, &row);
  ISOFLOP_RETURN_IF_ERROR(in.status());
  ISOFLOP_RETURN_IF_ERROR(FillOutcome(in.Text("outcome"), in.where(), &row));
  return row;
}

// Rows that agree in every cell are one row that was copied: they get one
// fingerprint, by which the selection keeps the first. Two seeds of one cell differ
// in their seed or run column, or in the digits of the loss.
void MarkCopies(const CsvTable& table, std::vector<Observation>* rows) {
  std::map<std::vector<std::string>, size_t> first;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const auto [place, is_new] = first.emplace(table.rows[i].cells, i);
    if (is_new || !(*rows)[i].fingerprint.empty()) continue;
    const std::string fingerprint = absl::StrCat("csv:", Sha256Hex(absl::StrJoin(table.rows[i].cells, "\x1f")));
    (*rows)[i].fingerprint = (*rows)[place->second].fingerprint = fingerprint;
  }
}

}  // namespace

absl::StatusOr<std::vector<Observation>> ReadCsvObservations(absl::string_view text, const std::string& name,
                                                             const CsvOptions& options) {
  ISOFLOP_ASSIGN_OR_RETURN(const CsvTable table, ParseCsv(text, name));
  ISOFLOP_ASSIGN_OR_RETURN(const Columns columns, FindColumns(table, options));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<Derivation> derivations, ParseDerivations(table, columns, options));
  ISOFLOP_RETURN_IF_ERROR(CheckNeeds(table, columns, derivations));
  std::vector<Observation> rows;
  for (const CsvRow& cells : table.rows) {
    ISOFLOP_ASSIGN_OR_RETURN(Observation row, ReadRow(table, columns, derivations, cells));
    rows.push_back(std::move(row));
  }
  MarkCopies(table, &rows);
  return rows;
}

}  // namespace isoflop
