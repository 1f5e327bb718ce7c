#include "corpus/dataset_manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;  // keys sorted

constexpr char kFormat[] = "isoflop-dataset";

Json ToJson(const StreamFacts& stream) {
  Json shards = Json::array();
  for (const ShardFacts& shard : stream.shards) {
    shards.push_back({{"file", shard.file},
                      {"tokens", shard.tokens},
                      {"bytes", shard.bytes},
                      {"sha256", shard.sha256}});
  }
  return {{"tokens", stream.tokens},
          {"bytes", stream.bytes},
          {"documents", stream.documents},
          {"shards", shards}};
}

StreamFacts StreamFromJson(const Json& json) {
  StreamFacts stream;
  stream.tokens = json.at("tokens").get<std::int64_t>();
  stream.bytes = json.at("bytes").get<std::int64_t>();
  stream.documents = json.at("documents").get<std::int64_t>();
  for (const Json& shard : json.at("shards")) {
    stream.shards.push_back({.file = shard.at("file").get<std::string>(),
                             .tokens = shard.at("tokens").get<std::int64_t>(),
                             .bytes = shard.at("bytes").get<std::int64_t>(),
                             .sha256 = shard.at("sha256").get<std::string>()});
  }
  return stream;
}

DatasetManifest FromJson(const Json& json) {
  DatasetManifest manifest;
  manifest.dtype = json.at("dtype").get<std::string>();
  const Json& tokenizer = json.at("tokenizer");
  manifest.tokenizer.id = tokenizer.at("id").get<std::string>();
  manifest.tokenizer.sha256 = tokenizer.at("sha256").get<std::string>();
  manifest.tokenizer.vocab_size = tokenizer.at("vocab_size").get<std::int64_t>();
  if (const Json& eot = tokenizer.at("eot_id"); !eot.is_null()) {
    manifest.tokenizer.eot_id = eot.get<std::int64_t>();
  }
  manifest.tokenizer.file = tokenizer.at("file").get<std::string>();
  manifest.train = StreamFromJson(json.at("train"));
  manifest.eval = StreamFromJson(json.at("eval"));
  manifest.block_tokens = json.at("block_tokens").get<std::int64_t>();
  const Json& split = json.at("split");
  manifest.split.by = split.at("by").get<std::string>();
  manifest.split.permille = split.at("permille").get<int>();
  manifest.split.max_tokens = split.at("max_tokens").get<std::int64_t>();
  manifest.split.seed = split.at("seed").get<std::uint64_t>();
  manifest.split.held_out_documents = split.at("held_out_documents").get<std::int64_t>();
  manifest.split.duplicates_dropped = split.at("duplicates_dropped").get<std::int64_t>();
  for (const Json& source : json.at("sources")) {
    manifest.sources.push_back({.name = source.at("name").get<std::string>(),
                                .format = source.at("format").get<std::string>(),
                                .bytes = source.at("bytes").get<std::int64_t>(),
                                .sha256 = source.at("sha256").get<std::string>()});
  }
  manifest.source_bytes = json.at("source_bytes").get<std::int64_t>();
  const Json& token_bytes = json.at("token_bytes");
  manifest.token_bytes_file = token_bytes.at("file").get<std::string>();
  manifest.token_bytes_sha256 = token_bytes.at("sha256").get<std::string>();
  if (const Json& synthetic = json.at("synthetic"); !synthetic.is_null()) {
    manifest.synthetic = {.spec = synthetic.at("spec").get<std::string>(),
                          .entropy_rate_nats = synthetic.at("entropy_rate_nats").get<double>()};
  }
  return manifest;
}

// What is wrong with the values, or "".
std::string Fault(const DatasetManifest& manifest) {
  if (manifest.dtype != "u16" && manifest.dtype != "u32") {
    return absl::StrCat("dtype '", manifest.dtype, "' is neither u16 nor u32");
  }
  const std::int64_t vocab_size = manifest.tokenizer.vocab_size;
  if (vocab_size < 1 || vocab_size > (manifest.dtype == "u16" ? 65536 : 2147483647)) {
    return absl::StrCat("vocab_size ", vocab_size, " does not go with dtype ", manifest.dtype);
  }
  const std::int64_t eot_id = manifest.tokenizer.eot_id.value_or(0);
  if (eot_id < 0 || eot_id >= vocab_size) {
    return absl::StrCat("eot_id ", eot_id, " is not below vocab_size ", vocab_size);
  }
  if (manifest.eval.shards.size() != 1) {
    return absl::StrCat("eval has ", manifest.eval.shards.size(), " shards, not one");
  }
  if (manifest.train.shards.empty()) return "train has no shard";
  if (manifest.block_tokens < 0) return "block_tokens is negative";
  for (const StreamFacts* stream : {&manifest.train, &manifest.eval}) {
    std::int64_t tokens = 0;
    for (const ShardFacts& shard : stream->shards) {
      tokens += shard.tokens;
      if (shard.file.empty() || shard.file.find('/') != std::string::npos) {
        return absl::StrCat("shard file '", shard.file, "' is no name in this folder");
      }
      if (shard.sha256.size() != 64) return absl::StrCat(shard.file, ": sha256 has not 64 digits");
    }
    if (tokens != stream->tokens) {
      return absl::StrCat("shards hold ", tokens, " tokens, their stream ", stream->tokens);
    }
  }
  for (const std::string& file : {manifest.token_bytes_file, manifest.tokenizer.file}) {
    if (file.find('/') != std::string::npos) {
      return absl::StrCat("file '", file, "' is no name in this folder");
    }
  }
  return "";
}

}  // namespace

std::string ManifestText(const DatasetManifest& manifest) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kDatasetFormatVersion;
  json["dtype"] = manifest.dtype;
  json["tokenizer"] = {{"id", manifest.tokenizer.id},
                       {"sha256", manifest.tokenizer.sha256},
                       {"vocab_size", manifest.tokenizer.vocab_size},
                       {"eot_id", nullptr},
                       {"file", manifest.tokenizer.file}};
  if (manifest.tokenizer.eot_id.has_value()) {
    json["tokenizer"]["eot_id"] = *manifest.tokenizer.eot_id;
  }
  json["train"] = ToJson(manifest.train);
  json["eval"] = ToJson(manifest.eval);
  json["block_tokens"] = manifest.block_tokens;
  json["split"] = {{"by", manifest.split.by},
                   {"permille", manifest.split.permille},
                   {"max_tokens", manifest.split.max_tokens},
                   {"seed", manifest.split.seed},
                   {"held_out_documents", manifest.split.held_out_documents},
                   {"duplicates_dropped", manifest.split.duplicates_dropped}};
  json["sources"] = Json::array();
  for (const SourceFacts& source : manifest.sources) {
    json["sources"].push_back({{"name", source.name},
                               {"format", source.format},
                               {"bytes", source.bytes},
                               {"sha256", source.sha256}});
  }
  json["source_bytes"] = manifest.source_bytes;
  json["token_bytes"] = {{"file", manifest.token_bytes_file},
                         {"sha256", manifest.token_bytes_sha256}};
  json["synthetic"] = nullptr;
  if (manifest.synthetic.has_value()) {
    json["synthetic"] = {{"spec", manifest.synthetic->spec},
                         {"entropy_rate_nats", manifest.synthetic->entropy_rate_nats}};
  }
  // A source's name need not be UTF-8: its odd bytes are replaced.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<DatasetManifest> ParseManifest(const std::string& text,
                                              const std::string& source_name) {
  const auto invalid = [&](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat(source_name, ": ", what, "; cure: prepare the data again (isoflop data prepare)"));
  };
  try {
    const Json json = Json::parse(text);
    if (!json.is_object() || json.value("format", "") != kFormat) {
      return invalid(absl::StrCat("no data set: wants \"format\": \"", kFormat, "\""));
    }
    const int version = json.at("version").get<int>();
    if (version != kDatasetFormatVersion) {
      return absl::InvalidArgumentError(absl::StrCat(
          source_name, ": format version ", version, ", this program reads version ",
          kDatasetFormatVersion, "; cure: a newer isoflop, or prepare the data again"));
    }
    DatasetManifest manifest = FromJson(json);
    if (const std::string fault = Fault(manifest); !fault.empty()) return invalid(fault);
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    return invalid(error.what());
  }
}

}  // namespace isoflop
