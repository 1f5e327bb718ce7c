// docs/study_yaml.md names every key, with the default that the parser has.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "study/study_yaml.h"
#include "study/yaml_tree.h"

namespace isoflop {
namespace {

constexpr char kBase[] = R"(name: docs
data: {path: a}
model: {ladder: [[64, 2, 2]], sequence_length: 1024}
grid: {kind: isoflop, budgets: [1e17]}
optimizer: {lr_peak: 3e-3}
batch: {tokens: 64Ki}
)";

struct Row {
  std::string key;
  std::string default_value;  // "" for ! and -
  std::string example;
};

// The text between the first two backticks of `cell`, or "".
std::string Code(const std::string& cell) {
  const std::vector<std::string> parts = absl::StrSplit(cell, '`');
  return parts.size() > 1 ? parts[1] : "";
}

std::vector<Row> ReadRows() {
  std::ifstream file(std::string(ISOFLOP_SOURCE_DIR) + "/docs/study_yaml.md");
  std::vector<Row> rows;
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "| key |")) in_table = true;
    if (line.empty()) in_table = false;
    if (!in_table || !absl::StartsWith(line, "| `")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    rows.push_back(Row{Code(cells[0]), Code(cells[1]), Code(cells[2])});
  }
  return rows;
}

std::string Try(const std::string& key, const std::string& value) {
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(kBase, "docs.yaml", {absl::StrCat(key, "=", value)});
  return spec.ok() ? "" : std::string(spec.status().message());
}

void AddKeys(const YamlTree& tree, const std::string& path, std::set<std::string>* keys) {
  for (const YamlEntry& entry : tree.map) {
    const std::string key = path.empty() ? entry.key : absl::StrCat(path, ".", entry.key);
    keys->insert(key);
    AddKeys(entry.value, key, keys);
  }
}

TEST(StudyYamlDocsTest, EveryDocumentedKeyIsReadAndItsDefaultIsTheParsers) {
  const std::vector<Row> rows = ReadRows();
  EXPECT_GT(rows.size(), 70u);
  const absl::StatusOr<StudySpec> base = ParseStudyYaml(kBase, "docs.yaml");
  ASSERT_TRUE(base.ok()) << base.status();
  for (const Row& row : rows) {
    ASSERT_FALSE(row.key.empty());
    ASSERT_FALSE(row.example.empty()) << row.key;
    const std::string error = Try(row.key, row.example);
    EXPECT_FALSE(absl::StrContains(error, "unknown key")) << error;
    EXPECT_FALSE(absl::StrContains(error, "is not")) << error;
    if (row.default_value.empty()) continue;
    const auto stated = ParseStudyYaml(kBase, "docs.yaml", {absl::StrCat(row.key, "=", row.default_value)});
    ASSERT_TRUE(stated.ok()) << row.key << ": " << stated.status();
    EXPECT_EQ(ResolvedYaml(*stated), ResolvedYaml(*base)) << row.key << " has another default";
  }
}

TEST(StudyYamlDocsTest, EveryKeyOfAResolvedStudyIsDocumented) {
  std::set<std::string> documented;
  for (const Row& row : ReadRows()) {
    documented.insert(row.key);
    for (size_t dot = row.key.find('.'); dot != std::string::npos; dot = row.key.find('.', dot + 1)) {
      documented.insert(row.key.substr(0, dot));
    }
  }
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(
      kBase, "docs.yaml",
      {"description=x", "replicates={cells: 1, seeds: 2}", "limits={flops: 1, slot_hours: 1}", "analysis.goal={budget: 1}",
       "model.vocab_size=300", "evaluation.sequence_length=64", "trainer={command: [a], sources: [b], env: {c: d}}"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  const absl::StatusOr<YamlTree> tree = ParseYamlTree(SourceText{"r.yaml", ResolvedYaml(*spec), {}, {}});
  ASSERT_TRUE(tree.ok());
  std::set<std::string> keys;
  AddKeys(*tree, "", &keys);
  EXPECT_GT(keys.size(), 70u);
  for (const std::string& key : keys) {
    if (absl::StartsWith(key, "trainer.env.")) continue;  // the user's own names
    EXPECT_TRUE(documented.contains(key)) << key << " is not in docs/study_yaml.md";
  }
}

}  // namespace
}  // namespace isoflop
