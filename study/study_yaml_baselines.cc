// The section `baselines`.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "study/study_yaml_sections.h"

namespace isoflop {
namespace {

constexpr char kExample[] = "baselines: [{family: ngram, orders: [1, 2, 3]}]";

void ReadOrders(YamlReader& reader, std::vector<int64_t>* orders) {
  const YamlTree* value = reader.Require("orders", "orders: [1, 2, 3]");
  if (value == nullptr) return;
  const auto* items = reader.ListValue(*value, "orders", 1);
  if (items == nullptr) return;
  for (const YamlTree& item : *items) {
    int64_t order = 0;
    if (!reader.CountValue(item, &order, 1, kMostNgramOrder, {"an order of n-grams", "orders: [1, 2, 3, 4, 5]"})) continue;
    if (std::find(orders->begin(), orders->end(), order) != orders->end()) {
      reader.Error(item.mark, absl::StrCat("order ", order, " twice"), "orders: [1, 2, 3]");
    } else {
      orders->push_back(order);
    }
  }
}

// One word, or a list of them.
void ReadSmoothings(YamlReader& reader, std::vector<Smoothing>* smoothings) {
  const YamlTree* value = reader.Take("smoothing");
  if (value == nullptr) return;
  std::vector<const YamlTree*> words;
  if (value->is_list()) {
    for (const YamlTree& item : value->list) words.push_back(&item);
  } else {
    words.push_back(value);
  }
  smoothings->clear();
  for (const YamlTree* word : words) {
    const auto smoothing = ParseEnum<Smoothing>(reader.ChoiceText(*word, EnumTexts<Smoothing>()));
    if (!smoothing) continue;
    if (std::find(smoothings->begin(), smoothings->end(), *smoothing) != smoothings->end()) {
      reader.Error(word->mark, absl::StrCat("smoothing ", ToString(*smoothing), " twice"), "smoothing: kneser_ney");
    } else {
      smoothings->push_back(*smoothing);
    }
  }
}

// `all`, a number of tokens, or a list of them.
void ReadTokens(YamlReader& reader, std::vector<double>* tokens) {
  const YamlTree* value = reader.Take("tokens");
  if (value == nullptr || (value->is_scalar() && value->scalar == "all")) return;
  std::vector<const YamlTree*> amounts;
  if (value->is_list()) {
    for (const YamlTree& item : value->list) amounts.push_back(&item);
  } else {
    amounts.push_back(value);
  }
  for (const YamlTree* item : amounts) {
    double amount = 0;
    if (reader.AmountValue(*item, &amount, {"a number of tokens", "1M, [0.1M, 1M] or all"})) tokens->push_back(amount);
  }
  std::sort(tokens->begin(), tokens->end());
  if (std::adjacent_find(tokens->begin(), tokens->end()) != tokens->end()) {
    reader.Error(value->mark, "one number of tokens twice", "tokens: [0.1M, 1M]");
  }
}

}  // namespace

void ReadBaselinesSection(YamlReader& root, std::vector<BaselineSpec>* baselines) {
  const YamlTree* section = root.Take("baselines");
  if (section == nullptr) return;
  const auto* items = root.ListValue(*section, kExample, 0);
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i) {
    YamlReader reader = root.Child((*items)[i], absl::StrCat("baselines[", i, "]"));
    BaselineSpec baseline;
    if (const YamlTree* family = reader.Require("family", "family: ngram")) reader.ChoiceText(*family, {"ngram"});
    ReadOrders(reader, &baseline.orders);
    ReadSmoothings(reader, &baseline.smoothings);
    const bool adds = std::find(baseline.smoothings.begin(), baseline.smoothings.end(), Smoothing::kAddK) !=
                      baseline.smoothings.end();
    if (!adds) reader.Misplaced("k", "belongs to smoothing: add_k");
    reader.Number("k", &baseline.add_k, 1e-9, 1e9);
    ReadTokens(reader, &baseline.tokens);
    reader.Finish();
    baselines->push_back(std::move(baseline));
  }
}

}  // namespace isoflop
