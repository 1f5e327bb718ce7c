#include "study/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr size_t kMaxTextBytes = 1 << 20;
constexpr size_t kMaxValues = 100'000;
constexpr size_t kMaxDepth = 64;

// Why the builder gave up, thrown through yaml-cpp and caught below.
struct BuildError {
  Mark mark;
  std::string what;
};

size_t CountValues(const YamlTree& tree) {
  size_t count = 1;
  for (const YamlTree& child : tree.list) count += CountValues(child);
  for (const YamlEntry& entry : tree.map) count += CountValues(entry.value);
  return count;
}

// Builds the tree from events: an alias copies what its anchor has finished, so
// no cycle can arise.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(int override_number) : override_number_(override_number) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Finish(MakeTree(YamlTree::Kind::kNull, mark), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw BuildError{ToMark(mark), "an alias inside its own anchor"};
    YamlTree copy = found->second;
    values_ += CountValues(copy);
    CheckSize(mark);
    copy.mark = ToMark(mark);
    Finish(std::move(copy), 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlTree tree = MakeTree(YamlTree::Kind::kScalar, mark);
    tree.scalar = value;
    tree.quoted = tag == "!";
    if (!tree.quoted && (value == "~" || value == "null")) tree.kind = YamlTree::Kind::kNull;
    Finish(std::move(tree), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(MakeTree(YamlTree::Kind::kList, mark), mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(MakeTree(YamlTree::Kind::kMap, mark), mark, anchor);
  }
  void OnMapEnd() override { Close(); }

  YamlTree TakeRoot() { return std::move(root_); }

 private:
  struct OpenNode {
    YamlTree tree;
    YAML::anchor_t anchor = 0;
    bool has_key = false;  // of a map: the next value belongs to map.back()
  };

  Mark ToMark(const YAML::Mark& mark) const { return Mark{mark.line + 1, mark.column + 1, override_number_}; }

  void CheckSize(const YAML::Mark& mark) const {
    if (values_ > kMaxValues) throw BuildError{ToMark(mark), absl::StrCat("more than ", kMaxValues, " values")};
  }

  YamlTree MakeTree(YamlTree::Kind kind, const YAML::Mark& mark) {
    ++values_;
    CheckSize(mark);
    YamlTree tree;
    tree.kind = kind;
    tree.mark = ToMark(mark);
    return tree;
  }

  void Open(YamlTree tree, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (open_.size() >= kMaxDepth) throw BuildError{ToMark(mark), absl::StrCat("nested deeper than ", kMaxDepth)};
    open_.push_back(OpenNode{std::move(tree), anchor, false});
  }

  void Close() {
    OpenNode node = std::move(open_.back());
    open_.pop_back();
    Finish(std::move(node.tree), node.anchor);
  }

  void Finish(YamlTree tree, YAML::anchor_t anchor) {
    if (anchor != 0) anchored_[anchor] = tree;
    if (open_.empty()) {
      root_ = std::move(tree);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.tree.is_list()) {
      parent.tree.list.push_back(std::move(tree));
    } else if (parent.has_key) {
      parent.tree.map.back().value = std::move(tree);
      parent.has_key = false;
    } else {
      if (!tree.is_scalar()) throw BuildError{tree.mark, "a key is a word"};
      parent.tree.map.push_back(YamlEntry{std::move(tree.scalar), tree.mark, YamlTree{}});
      parent.has_key = true;
    }
  }

  const int override_number_;
  size_t values_ = 0;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, YamlTree> anchored_;
  YamlTree root_;
};

absl::Status ErrorAt(const SourceText& source, Mark mark, const std::string& what, const std::string& cure = "") {
  return absl::InvalidArgumentError(source.Picture(mark, what, cure));
}

absl::StatusOr<YamlTree> ParseText(const SourceText& source, const std::string& text, int override_number) {
  if (text.size() > kMaxTextBytes) {
    return ErrorAt(source, Mark{1, 1, override_number}, absl::StrCat("longer than ", kMaxTextBytes, " bytes"));
  }
  TreeBuilder builder(override_number);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      YamlTree root = builder.TakeRoot();
      TreeBuilder second(override_number);
      if (parser.HandleNextDocument(second)) {
        return ErrorAt(source, second.TakeRoot().mark, "a second document", "one study a file; delete '---'");
      }
      return root;
    }
    return YamlTree{};
  } catch (const YAML::Exception& e) {
    Mark mark{1, 1, override_number};
    if (!e.mark.is_null()) mark = Mark{e.mark.line + 1, e.mark.column + 1, override_number};
    return ErrorAt(source, mark, absl::StrCat("not YAML: ", e.msg),
                   "check quotes, brackets and indentation up to this place");
  } catch (const BuildError& e) {
    return ErrorAt(source, e.mark, e.what);
  }
}

absl::Status ApplyOverride(const SourceText& source, int override_number, YamlTree* root) {
  const std::string& given = source.overrides[static_cast<size_t>(override_number) - 1];
  const Mark nowhere{0, 0, override_number};
  const size_t equals = given.find('=');
  if (equals == std::string::npos || equals == 0) {
    return ErrorAt(source, nowhere, "no value", "--set grid.budgets=[1e17,1e18]");
  }
  ISOFLOP_ASSIGN_OR_RETURN(YamlTree value, ParseText(source, given.substr(equals + 1), override_number));
  if (value.mark.line == 0) value.mark = Mark{1, 1, override_number};
  YamlTree* at = root;
  for (const absl::string_view part : absl::StrSplit(given.substr(0, equals), '.')) {
    const std::string key(part);
    if (at->is_null()) at->kind = YamlTree::Kind::kMap;
    if (!at->is_map()) {
      return ErrorAt(source, nowhere, absl::StrCat("'", key, "' lies in a value that is no mapping"),
                     "set the whole value, --set key={...}");
    }
    YamlTree* next = nullptr;
    for (YamlEntry& entry : at->map) {
      if (entry.key == key) next = &entry.value;
    }
    if (next == nullptr) {
      const Mark mark{1, 1, override_number};
      at->map.push_back(YamlEntry{key, mark, YamlTree{}});
      next = &at->map.back().value;
      next->mark = mark;
    }
    at = next;
  }
  *at = std::move(value);
  return absl::OkStatus();
}

}  // namespace

const YamlTree* YamlTree::Find(const std::string& key) const {
  for (auto entry = map.rbegin(); entry != map.rend(); ++entry) {
    if (entry->key == key) return &entry->value;
  }
  return nullptr;
}

absl::StatusOr<YamlTree> ParseYamlTree(const SourceText& source) {
  ISOFLOP_ASSIGN_OR_RETURN(YamlTree root, ParseText(source, source.text, 0));
  if (root.is_null()) root.kind = YamlTree::Kind::kMap;
  for (size_t i = 0; i < source.overrides.size(); ++i) {
    ISOFLOP_RETURN_IF_ERROR(ApplyOverride(source, static_cast<int>(i) + 1, &root));
  }
  return root;
}

}  // namespace isoflop
