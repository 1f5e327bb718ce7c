// What one does with a trained model, by the program itself: a trial is trained on
// bytes, and its final checkpoint is measured, written with, looked at, exported and
// read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "corpus/dataset.h"
#include "corpus/prepare.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"
#include "tests/worker/trainer/trial_harness.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/safetensors.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

std::string Slurp(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class TextToolsTest : public TrialTest {
 protected:
  static void SetUpTestSuite() {
    TrialTest::SetUpTestSuite();
    // Sentences of a small grammar: a model of a minute learns them.
    std::string text;
    const char* who[] = {"Emma", "Mr. Darcy", "Elizabeth", "Jane", "Caf\xC3\xA9 owner"};
    const char* does[] = {" walked to ", " wrote to ", " thought of ", " danced at "};
    const char* where[] = {"Pemberley", "London", "the ball", "Highbury"};
    std::filesystem::create_directories(folder_ + "/text");
    for (int chapter = 0; chapter < 40; ++chapter) {
      text.clear();
      for (int i = 0; i < 120; ++i) {
        const int n = (chapter * 131 + i * 37 + i * i * 11) % 997;
        text += absl::StrCat(who[n % 5], does[n / 5 % 4], where[n / 20 % 4], ".\n");
      }
      std::ofstream(absl::StrCat(folder_, "/text/", 100 + chapter, ".txt")) << text;
    }
    PrepareOptions options;
    options.sources = {folder_ + "/text"};
    const auto prepared = PrepareDataset(options, folder_ + "/bytes");
    ISOFLOP_CHECK(prepared.ok(), std::string(prepared.status().message()));
    dataset_path_ = prepared->path;
    const auto dataset = Dataset::Open(dataset_path_);
    ISOFLOP_CHECK(dataset.ok(), std::string(dataset.status().message()));
    dataset_sha256_ = dataset->dataset_sha256();
    eval_sha256_ = dataset->eval_sha256();
    train_tokens_ = dataset->train_tokens();
    eval_tokens_ = dataset->eval_tokens();
  }

  // The checkpoint that a trial of this family leaves at its end.
  std::string Train(const std::string& kind) {
    static std::map<std::string, std::string>* const trained = new std::map<std::string, std::string>;
    if (trained->count(kind) != 0) return trained->at(kind);
    TrialSpec trial = SmallTrial(200);
    trial.branch_steps.clear();
    trial.schedule.decay_steps = 40;
    trial.model.vocab_size = 257;
    trial.sequence_length = trial.eval_sequence_length = 64;
    trial.batch_sequences = 4;
    if (kind == "llama" || kind == "tied") {
      trial.model.activation = Activation::kSwiglu;
      trial.model.d_ff = 96;
      trial.model.tied_head = kind == "tied";
    } else if (kind == "lstm") {
      trial.model.family = Family::kLstm;
      trial.model.n_head = trial.model.d_ff = 0;
    } else if (kind == "ngram") {
      trial.model = ModelShape{};
      trial.model.family = Family::kNgram;
      trial.model.vocab_size = 257;
      trial.model.ngram_order = 4;
      trial.model.ngram_smoothing = Smoothing::kKneserNey;
      trial.schedule = ScheduleSpec{};
      trial.schedule.kind = ScheduleKind::kConstant;
    }
    Attempt attempt = Run(trial);
    const auto checkpoints = EventsOf(attempt.Output(), "checkpoint");
    EXPECT_EQ(checkpoints.size(), 1u) << attempt.Everything();
    EXPECT_EQ(checkpoints.at(0)["reason"], "final");
    final_loss_[kind] = EventsOf(attempt.Output(), "final").at(0).Number("final_loss_nats");
    return (*trained)[kind] = checkpoints.at(0)["path"];
  }

  struct Result {
    int code = -1;
    std::string out, err;
    Json json() const { return Json::parse(out); }
  };
  Result Tool(std::vector<std::string> words) {
    words.insert(words.begin(), TrainerPath());
    std::map<std::string, std::string> environment = {{"OMP_NUM_THREADS", "1"}};
    if (!OnGpu()) environment["CUDA_VISIBLE_DEVICES"] = "-1";
    static int calls = 0;
    ChildProcess child(words, environment, absl::StrCat(folder_, "/tool-", ++calls));
    Result result;
    result.code = child.Wait().value_or(-1);
    result.out = child.Output();
    result.err = child.Errors();
    return result;
  }

  static inline std::map<std::string, double> final_loss_;
};

TEST_F(TextToolsTest, PerplexityOfTheFrozenSetIsTheFinalLossWithMoreContext) {
  for (const std::string kind : {"plain", "lstm", "ngram"}) {
    const std::string checkpoint = Train(kind);
    const Result result = Tool({"perplexity", "--checkpoint", checkpoint, "--data", dataset_path_, "--json"});
    ASSERT_EQ(result.code, 0) << result.err;
    const Json json = result.json();
    EXPECT_EQ(json["schema"], "isoflop.perplexity/1");
    EXPECT_EQ(json["tokens"], eval_tokens_ - 1);
    const double loss = json["loss_nats"];
    EXPECT_DOUBLE_EQ(json["perplexity"], std::exp(loss));
    // Half a window at least before each target; at the end of a trial a window's first
    // target has one token.
    EXPECT_LT(loss, final_loss_[kind]) << kind;
    EXPECT_GT(loss, 0.5 * final_loss_[kind]) << kind;
    EXPECT_GT(json["bits_per_byte"], 0.9 * loss / std::log(2.0));
    ReportRow(absl::StrCat("perplexity of the frozen set, ", kind), "below the final loss", absl::StrCat(loss, " of ", final_loss_[kind]));
  }
}

TEST_F(TextToolsTest, AShortTextAndStandardInputAreMeasuredAndNothingIsNot) {
  const std::string checkpoint = Train("plain");
  const std::string file = folder_ + "/short.txt";
  std::ofstream(file) << "Emma walked";
  const Result text = Tool({"perplexity", "--checkpoint", checkpoint, "--data", file});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("nats/token"), HasSubstr("bits/byte"), HasSubstr("shorter than the model's window of 64 tokens")));
  std::ofstream(folder_ + "/empty.txt") << "";
  const Result empty = Tool({"perplexity", "--checkpoint", checkpoint, "--data", folder_ + "/empty.txt"});
  EXPECT_EQ(empty.code, 2) << empty.out;
  EXPECT_THAT(empty.err, HasSubstr("cure: "));
  EXPECT_EQ(Tool({"perplexity", "--checkpoint", checkpoint, "--data", folder_ + "/nowhere.txt"}).code, 3);
  EXPECT_EQ(Tool({"perplexity", "--checkpoint", folder_ + "/nowhere", "--data", file}).code, 3);
}

TEST_F(TextToolsTest, GeneratesTheSameTextWithAndWithoutTheCache) {
  for (const std::string kind : {"plain", "lstm"}) {
    const std::string checkpoint = Train(kind);
    for (const char* temperature : {"0", "0.8"}) {
      std::string texts[2];
      for (const bool cached : {true, false}) {
        std::vector<std::string> words = {"generate", "--checkpoint", checkpoint, "--prompt", "Emma ", "-n", "150", "-t", temperature, "--seed", "3", "--json"};
        if (!cached) words.push_back("--no-cache");
        const Result result = Tool(words);
        ASSERT_EQ(result.code, 0) << result.err;
        texts[cached] = result.json()["text"];
      }
      EXPECT_EQ(texts[0], texts[1]) << kind << " " << temperature;
      EXPECT_GE(texts[0].size(), 100u);
    }
  }
  // Top-k of 1 is greedy; the stream is prompt and text.
  const std::string checkpoint = Train("plain");
  const std::string greedy = Tool({"generate", "--checkpoint", checkpoint, "--prompt", "Jane", "-t", "0", "-n", "60"}).out;
  EXPECT_EQ(Tool({"generate", "--checkpoint", checkpoint, "--prompt", "Jane", "--top-k", "1", "-n", "60"}).out, greedy);
  EXPECT_EQ(greedy.substr(0, 4), "Jane");
  const Result stopped = Tool({"generate", "--checkpoint", checkpoint, "--prompt", "Jane", "-t", "0", "--stop", ".", "--json"});
  EXPECT_EQ(stopped.json()["end"], "stop");
  const Result counted = Tool({"generate", "--checkpoint", Train("ngram"), "--seed", "5", "-n", "80", "--json"});
  ASSERT_EQ(counted.code, 0) << counted.err;
  EXPECT_GT(counted.json()["text"].get<std::string>().size(), 10u);
}

TEST_F(TextToolsTest, RefusesWhatCannotBeWithTheCure) {
  const std::string plain = Train("plain"), lstm = Train("lstm");
  const auto refused = [&](std::vector<std::string> words, const std::string& says) {
    const Result result = Tool(words);
    EXPECT_EQ(result.code, 2) << absl::StrCat(words[0], ": ", says, "\n", result.out, result.err);
    EXPECT_THAT(result.err, AllOf(HasSubstr(says), HasSubstr("cure: ")));
    words.push_back("--json");
    const Result json = Tool(words);
    EXPECT_EQ(json.code, 2);
    EXPECT_TRUE(Json::parse(json.err).contains("error")) << json.err;
  };
  refused({"generate", "--checkpoint", plain, "--prompt", ""}, "--prompt: empty");
  refused({"generate", "--checkpoint", plain, "--top-k", "0"}, "--top-k 0");
  refused({"generate", "--checkpoint", plain, "--top-k", "258"}, "top-k 258: 1 to the 257");
  refused({"generate", "--checkpoint", plain, "--temperature", "-0.5"}, "temperature -0.5");
  refused({"generate", "--checkpoint", plain, "--top-p", "0"}, "top-p 0");
  refused({"generate", "--checkpoint", plain, "-n", "0"}, "--tokens 0");
  refused({"generate", "--checkpoint", plain, "--temprature", "1"}, "--temprature");
  refused({"attention", "--checkpoint", plain, "--text", "Emma", "--layer", "2"}, "--layer 2: the model has 2 layers");
  refused({"attention", "--checkpoint", plain, "--text", "Emma", "--head", "9"}, "--head 9: the layer has 2 heads");
  refused({"attention", "--checkpoint", plain, "--text", std::string(64, 'x')}, "65 tokens");
  refused({"attention", "--checkpoint", lstm, "--text", "Emma"}, "family lstm has no attention");
  refused({"checkpoint-export", "--checkpoint", plain, "-o", folder_ + "/no"}, "activation gelu (swiglu)");
  refused({"checkpoint-export", "--checkpoint", lstm, "-o", folder_ + "/no"}, "family lstm (transformer)");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/no"));
}

TEST_F(TextToolsTest, ANanInACheckpointIsNamed) {
  const std::string bad = folder_ + "/bad";
  std::filesystem::create_directories(bad);
  const auto state = VerifyCheckpoint(Train("plain"));
  ASSERT_TRUE(state.ok());
  TrialSpec trial = SmallTrial();
  trial.model.vocab_size = 257;
  const ParameterLayout layout = LayOutParameters(trial.model, 64);
  std::vector<float> weights(static_cast<size_t>(layout.total), 0.1f);
  const ParameterEntry* entry = layout.Find("blocks.1.mlp.up.weight");
  weights[static_cast<size_t>(entry->offset) + 7] = std::nanf("");
  const auto written = WriteCheckpoint(bad, layout, *state, {weights.data(), weights.data(), weights.data()});
  ASSERT_TRUE(written.ok());
  const Result result = Tool({"generate", "--checkpoint", written->path});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("'blocks.1.mlp.up.weight' has 1 values that are not finite"), HasSubstr("cure: ")));
}

TEST_F(TextToolsTest, AttentionRowsSumToOneAndSeeNoFuture) {
  const std::string checkpoint = Train("plain"), file = folder_ + "/attention.svg";
  const std::string text = "Emma wrote to Jane.";  // 20 tokens with the end of text
  double worst = 0;
  for (const char* layer : {"0", "1"}) {
    const Result result = Tool({"attention", "--checkpoint", checkpoint, "--text", text, "--layer", layer, "-o", file});
    ASSERT_EQ(result.code, 0) << result.err;
    const Json json = Json::parse(Slurp(folder_ + "/attention.json"));
    ASSERT_EQ(json["tokens"].size(), 20u);
    EXPECT_EQ(json["tokens"][0], "<eot>");
    EXPECT_EQ(json["tokens"][5], "\u2423");
    ASSERT_EQ(json["weights"].size(), 2u);
    for (const Json& head : json["weights"]) {
      for (size_t query = 0; query < 20; ++query) {
        double sum = 0;
        for (size_t key = 0; key < 20; ++key) {
          const double weight = head[query][key];
          if (key > query) {
            EXPECT_EQ(weight, 0);
          } else {
            EXPECT_GE(weight, 0);
          }
          sum += weight;
        }
        worst = std::max(worst, std::abs(sum - 1));
        EXPECT_NEAR(sum, 1, 1e-6);
      }
    }
    const std::string svg = Slurp(file);
    EXPECT_THAT(svg, AllOf(HasSubstr("<svg"), HasSubstr("head 1"), HasSubstr("&lt;eot&gt;")));
    // One head alone, and the same bytes again.
    const Result again = Tool({"attention", "--checkpoint", checkpoint, "--text", text, "--layer", layer, "-o", file});
    EXPECT_EQ(Slurp(file), svg);
    const Result one = Tool({"attention", "--checkpoint", checkpoint, "--text", text, "--layer", layer, "--head", "1"});
    EXPECT_EQ(one.json()["heads"], Json({1}));
    EXPECT_EQ(one.json()["weights"][0], json["weights"][1]);
  }
  ReportRow("attention: rows sum to 1", "1e-6", absl::StrCat(worst));
}

TEST_F(TextToolsTest, AnExportComesBackBitForBit) {
  for (const std::string kind : {"llama", "tied"}) {
    const std::string checkpoint = Train(kind), out = absl::StrCat(folder_, "/", kind, "-llama"), back = absl::StrCat(folder_, "/", kind, "-back");
    const Result exported = Tool({"checkpoint-export", "--checkpoint", checkpoint, "-o", out, "--json"});
    ASSERT_EQ(exported.code, 0) << exported.err;
    const Json config = Json::parse(Slurp(out + "/config.json"));
    EXPECT_EQ(config["architectures"][0], "LlamaForCausalLM");
    EXPECT_EQ(config["intermediate_size"], 96);
    EXPECT_EQ(config["tie_word_embeddings"], kind == "tied");
    const auto header = ReadSafetensorsHeader(out + "/model.safetensors");
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(header->entries.size(), kind == "tied" ? 20u : 21u);
    EXPECT_EQ(header->metadata.at("format"), "pt");

    const Result imported = Tool({"checkpoint-import", out, "-o", back, "--json"});
    ASSERT_EQ(imported.code, 0) << imported.err;
    const std::string path = imported.json()["path"];
    EXPECT_EQ(Slurp(path + "/model.safetensors"), Slurp(checkpoint + "/model.safetensors")) << "bit for bit";
    EXPECT_FALSE(std::filesystem::exists(path + "/optimizer.safetensors"));
    const std::vector<std::string> ask = {"-n", "40", "-t", "0", "--json"};
    std::vector<std::string> ours = {"generate", "--checkpoint", checkpoint}, theirs = {"generate", "--checkpoint", path};
    ours.insert(ours.end(), ask.begin(), ask.end());
    theirs.insert(theirs.end(), ask.begin(), ask.end());
    EXPECT_EQ(Tool(ours).json()["text"], Tool(theirs).json()["text"]);

    // Nothing goes on from a model without moments.
    TrialSpec trial = SmallTrial(200);
    trial.branch_steps.clear();
    trial.schedule.decay_steps = 40;
    trial.model.vocab_size = 257;
    trial.sequence_length = trial.eval_sequence_length = 64;
    trial.batch_sequences = 4;
    trial.model.activation = Activation::kSwiglu;
    trial.model.d_ff = 96;
    trial.model.tied_head = kind == "tied";
    RunOptions resume;
    resume.resume = path;
    Attempt attempt = Run(trial, resume, 78);
    EXPECT_THAT(attempt.Everything(), HasSubstr("without the moments"));
  }
}

TEST_F(TextToolsTest, AConfigThatThisTrainerLacksIsRefusedByItsKeys) {
  const std::string checkpoint = Train("llama"), out = folder_ + "/foreign";
  ASSERT_EQ(Tool({"checkpoint-export", "--checkpoint", checkpoint, "-o", out}).code, 0);
  std::filesystem::remove(out + "/isoflop.json");
  // Without the trial beside it the shape is config.json's, and the tokenizer is told.
  const Result read = Tool({"checkpoint-import", out, "-o", folder_ + "/foreign-back", "--tokenizer", "bytes", "--json"});
  ASSERT_EQ(read.code, 0) << read.err;
  EXPECT_EQ(Slurp(read.json()["path"].get<std::string>() + "/model.safetensors"), Slurp(checkpoint + "/model.safetensors"));
  EXPECT_EQ(Tool({"generate", "--checkpoint", read.json()["path"], "-n", "5"}).code, 0);

  Json config = Json::parse(Slurp(out + "/config.json"));
  config["num_key_value_heads"] = 1;
  config["rms_norm_eps"] = 1e-5;
  config["rope_parameters"]["rope_type"] = "llama3";
  std::ofstream(out + "/config.json") << config.dump();
  const Result refused = Tool({"checkpoint-import", out, "-o", folder_ + "/never"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("num_key_value_heads 1, 2 is needed"), HasSubstr("rms_norm_eps 1e-05"), HasSubstr("rope_scaling")));
}

}  // namespace
}  // namespace isoflop
