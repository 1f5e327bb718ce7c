#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "analysis/csv_table.h"
#include "analysis/expression.h"
#include "analysis/observations.h"
#include "analysis/selection.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string ErrorOf(const std::string& text, const CsvOptions& options = {}) {
  const absl::StatusOr<std::vector<Observation>> rows = ReadCsvObservations(text, "runs.csv", options);
  if (rows.ok()) return "no error";
  EXPECT_EQ(rows.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(rows.status().message()), HasSubstr("\ncure: "));
  return std::string(rows.status().message());
}

std::vector<Observation> Read(const std::string& text, const CsvOptions& options = {}) {
  absl::StatusOr<std::vector<Observation>> rows = ReadCsvObservations(text, "runs.csv", options);
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *std::move(rows) : std::vector<Observation>();
}

TEST(CsvObservationsTest, KnowsThePublishedHeaders) {
  const std::vector<Observation> epoch = ReadPublished("epoch_chinchilla_svg_extracted_data.csv");
  ASSERT_EQ(epoch.size(), 245u);
  EXPECT_EQ(epoch[0].source, "epoch_chinchilla_svg_extracted_data.csv:2");
  EXPECT_TRUE(epoch[0].tokens_derived);
  EXPECT_NEAR(epoch[0].tokens_trained, 9.993852799709755e18 / (6 * 6795600349.289497), 1);

  const std::vector<Observation> llama = ReadPublished("llama3_isoflops.csv");
  ASSERT_EQ(llama.size(), 133u);
  EXPECT_NEAR(*llama[0].params_unnamed, 6e18 / (6 * 1579500858.99), 1);
  EXPECT_TRUE(llama[0].tokens_derived);

  const std::vector<Observation> gemstones = ReadPublished("gemstones_hot_220.csv");
  ASSERT_EQ(gemstones.size(), 220u);
  EXPECT_EQ(gemstones[0].trial_id, "PyGemma-1024x28_pretrain");
  EXPECT_EQ(gemstones[0].d_model, 1024);
  EXPECT_EQ(gemstones[0].tokens_trained, 10003415040.0);
  EXPECT_FALSE(gemstones[0].tokens_derived);

  const std::vector<Observation> nanochat = ReadPublished("nanochat_jan26_optima.csv");
  ASSERT_EQ(nanochat.size(), 12u);
  EXPECT_EQ(nanochat[0].bits_per_byte, 0.8972);

  // One row has empty cells: they are missing, not 0.
  EXPECT_EQ(ReadPublished("porian_refinedweb_optimal_pairs.csv").size(), 59u);
}

TEST(CsvObservationsTest, SeveralLossesMustBeChosenFrom) {
  const std::string text = ReadTestFile("gadre_overtraining_104.csv");
  EXPECT_THAT(ErrorOf(text), AllOf(HasSubstr("columns may be the loss: loss_openlm, loss_c4_val"),
                                   HasSubstr("--column loss=\"loss_openlm\""), testing::Not(HasSubstr("lo95"))));
  const std::vector<Observation> rows = Read(text, {{"loss=loss_c4_val"}, {}});
  ASSERT_EQ(rows.size(), 104u);
  EXPECT_EQ(rows[0].final_loss_nats, 5.974923739894816);
  EXPECT_EQ(*rows[0].params_blocks, 5727840);
  EXPECT_EQ(*rows[0].params_blocks + *rows[0].params_embedding, 10569312);
  EXPECT_THAT(ErrorOf("params,tokens,loss,val_loss\n1,2,3,4\n"), HasSubstr("2 columns may be the loss"));
}

TEST(CsvObservationsTest, OurOwnExportNamesItsLoss) {
  const std::vector<Observation> rows = Read(
      "trial_id,outcome,seed,d_model,n_layer,params_embedding,params_position,params_head,params_blocks,params_total,"
      "tokens_trained,budget_flops,flops_6nd,flops_exact,schedule,decay_steps,final_loss_nats,final_loss_se,"
      "train_loss_nats,predicted_loss_nats\n"
      "7,completed,2,16,1,4096,0,4096,3104,11296,1000000,5e10,4.5e10,6e10,wsd,40,2.5,0.01,2.4,2.6\n"
      "8,diverged,2,16,1,4096,0,4096,3104,11296,1000000,5e10,4.5e10,6e10,wsd,0,,,,\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].final_loss_nats, 2.5);
  EXPECT_EQ(rows[0].trial_id, "7");
  EXPECT_EQ(rows[0].params_head, 4096);
  EXPECT_FALSE(rows[0].params_unnamed);
  EXPECT_EQ(rows[0].budget_flops, 5e10);
  EXPECT_EQ(rows[0].flops_exact, 6e10);
  EXPECT_EQ(rows[0].schedule_ended, true);
  EXPECT_EQ(rows[1].schedule_ended, false);
  EXPECT_EQ(rows[1].outcome, TrialOutcome::kDiverged);
  EXPECT_TRUE(std::isnan(rows[1].final_loss_nats));
  EXPECT_EQ(rows[0].config_id, rows[1].config_id);
}

TEST(CsvObservationsTest, ColumnAndDeriveName) {
  const CsvOptions options{{"params=Model Size", "loss=L final"}, {"tokens=\"C (PF)\"*1e15/(6*params)"}};
  const std::vector<Observation> rows = Read("Model Size,C (PF),L final\n1e6,0.006,3\n", options);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_DOUBLE_EQ(rows[0].tokens_trained, 1e6);
  EXPECT_TRUE(rows[0].tokens_derived);
}

TEST(CsvObservationsTest, TakesQuotesMarksAndLineEnds) {
  const std::vector<Observation> rows =
      Read("\xEF\xBB\xBF\"params\",tokens,loss,note\r\n1e6, 2e7 ,3.5,\"a, \"\"b\"\"\nc\"\r\n\r\n2e6,4e7,3.25,x");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].tokens_trained, 2e7);
  EXPECT_EQ(rows[1].source, "runs.csv:5");
}

TEST(CsvObservationsTest, BadFilesAreToldWithPlaceAndCure) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("runs.csv: the file is empty"));
  EXPECT_THAT(ErrorOf("params,tokens,loss\n"), HasSubstr("a header and no row"));
  EXPECT_THAT(ErrorOf("params,tokens,loss\n1,2\n"), HasSubstr("runs.csv:2: 2 cells, the header has 3"));
  EXPECT_THAT(ErrorOf("params,tokens,loss\n1,2,\"3\n"), HasSubstr("a quote is not closed"));
  EXPECT_THAT(ErrorOf("params,params,loss\n1,2,3\n"), HasSubstr("the header has 'params' twice"));
  EXPECT_THAT(ErrorOf("params,tokens,loss\n1,2,3\n4,five,6\n"),
              HasSubstr("runs.csv:3: column 'tokens': 'five' is not a number"));
  EXPECT_THAT(ErrorOf("params,tokens\n1,2\n"), HasSubstr("no column for the loss; there are params, tokens"));
  EXPECT_THAT(ErrorOf("params,loss\n1,2\n"), HasSubstr("no column for the tokens D"));
  EXPECT_THAT(ErrorOf("flops,loss\n1,2\n"), HasSubstr("no column for the parameters N"));
  EXPECT_THAT(ErrorOf("params,tokens,loss,outcome\n1,2,3,finished\n"), HasSubstr("'finished' is no outcome"));
}

TEST(CsvObservationsTest, AMisspeltHeaderIsMeant) {
  EXPECT_THAT(ErrorOf("params,tokens,los\n1,2,3\n"),
              AllOf(HasSubstr("runs.csv: no column for the loss"), HasSubstr("did you mean 'los'?"),
                    HasSubstr("cure: --column loss=\"los\"")));
  EXPECT_THAT(ErrorOf("parms,tokens,loss\n1,2,3\n"),
              AllOf(HasSubstr("no column for the parameters N"), HasSubstr("cure: --column params=\"parms\"")));
  EXPECT_THAT(ErrorOf("params,Tokens Traned,loss\n1,2,3\n"),
              AllOf(HasSubstr("no column for the tokens D"), HasSubstr("cure: --column tokens=\"Tokens Traned\"")));
  // Nothing is near: the cure still names a header of the file.
  EXPECT_THAT(ErrorOf("params,tokens,perplexity\n1,2,3\n"),
              AllOf(testing::Not(HasSubstr("did you mean")), HasSubstr("cure: --column loss=\"params\"")));
}

TEST(CsvObservationsTest, TextInANumbersCellNamesRowAndColumn) {
  for (const char* cell : {"3,2", "1.5.B", "~3", "n/a", "3 nats", "0x"}) {
    const std::string error = ErrorOf(absl::StrCat("params,tokens,\"Loss\"\n1e6,2e7,3\n\n2e6,2e7,\"", cell, "\"\n"));
    EXPECT_THAT(error, HasSubstr(absl::StrCat("runs.csv:4: column 'Loss': '", cell, "' is not a number"))) << error;
  }
  EXPECT_THAT(ErrorOf("params,tokens,loss,seed\n1e6,2e7,3,one\n"), HasSubstr("runs.csv:2: column 'seed': 'one'"));
}

// A missing, infinite, zero or negative loss is a row that the analysis leaves out by
// name: the file is read.
TEST(CsvObservationsTest, LossesThatAreNoneAreRead) {
  const std::vector<Observation> rows =
      Read("params,tokens,loss\n1e6,2e7,nan\n1e6,2e7,-3\n1e6,2e7,0\n1e6,2e7,\n1e6,2e7,inf\n1e300,2e7,3\n");
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_TRUE(std::isnan(rows[0].final_loss_nats));
  EXPECT_EQ(rows[1].final_loss_nats, -3);
  EXPECT_TRUE(std::isnan(rows[3].final_loss_nats));
  EXPECT_EQ(rows[5].params_unnamed, 1e300);
  AnalysisOptions options;
  const Selection selection = SelectRows(rows, options);
  EXPECT_TRUE(selection.rows.empty());
  std::vector<std::string> told;
  for (const Exclusion& exclusion : selection.exclusions) {
    EXPECT_EQ(exclusion.rule, ExclusionRule::kNonFinite);
    told.push_back(absl::StrCat(exclusion.source, ": ", exclusion.detail));
  }
  EXPECT_THAT(told, testing::ElementsAre("runs.csv:2: loss nan", "runs.csv:3: loss -3 is not above 0",
                                         "runs.csv:4: loss 0 is not above 0", "runs.csv:5: loss nan",
                                         "runs.csv:6: loss inf", "runs.csv:7: params 1e+300 is beyond 1e+18"));
}

TEST(CsvObservationsTest, CopiedRowsAreMarked) {
  const std::vector<Observation> rows = Read(
      "params,tokens,loss,seed\n1e6,2e7,3,1\n1e6,2e7,3,2\n1e6,2e7,3,1\n2e6,2e7,2.9,1\n1e6,2e7,3,1\n");
  EXPECT_NE(rows[0].fingerprint, "");
  EXPECT_EQ(rows[1].fingerprint, "") << "another seed";
  EXPECT_EQ(rows[3].fingerprint, "");
  const Selection selection = SelectRows(rows, {});
  EXPECT_EQ(selection.rows.size(), 3u);
  ASSERT_EQ(selection.exclusions.size(), 2u);
  EXPECT_EQ(selection.exclusions[1].source, "runs.csv:6");
  EXPECT_EQ(selection.exclusions[1].rule, ExclusionRule::kDuplicateFingerprint);
  EXPECT_EQ(selection.exclusions[1].detail, "the same as runs.csv:2");
}

TEST(CsvObservationsTest, BadFlagsAreToldWithDidYouMean) {
  const std::string text = "Model Size,tokens,loss\n1,2,3\n";
  EXPECT_THAT(ErrorOf(text, {{"params=Model Sise"}, {}}), HasSubstr("no column 'Model Sise', did you mean 'Model Size'?"));
  EXPECT_THAT(ErrorOf(text, {{"parms=Model Size"}, {}}), HasSubstr("did you mean 'params'?"));
  EXPECT_THAT(ErrorOf(text, {{"params"}, {}}), HasSubstr("--column: 'params' is not NAME=..."));
  EXPECT_THAT(ErrorOf(text, {{}, {"flops=6*params*tokns"}}), HasSubstr("no column 'tokns' in runs.csv, did you mean 'tokens'?"));
  EXPECT_THAT(ErrorOf(text, {{}, {"flops=6*(tokens"}}), HasSubstr("was expected at character"));
}

TEST(ExpressionTest, FollowsArithmetic) {
  const auto value = [](const std::string& text) {
    absl::StatusOr<Expression> expression = Expression::Parse(text);
    EXPECT_TRUE(expression.ok()) << text;
    return *expression->Evaluate([](const std::string& name) -> std::optional<double> {
      return name == "x y" ? 5 : name == "x" ? 2 : 3;
    });
  };
  EXPECT_EQ(value("1 + 2*x - 4/2"), 3);
  EXPECT_EQ(value("2^3^2"), 512);
  EXPECT_EQ(value("-x^2 + \"x y\""), 1);
  EXPECT_EQ(value("(1+x)*(y-1)"), 6);
  EXPECT_EQ(value("1.5e3"), 1500);
  for (const char* bad : {"", "1+", "(1", "1 2", "*3", "\"x", "2^"}) EXPECT_FALSE(Expression::Parse(bad).ok()) << bad;
  EXPECT_FALSE(Expression::Parse(std::string(10000, '(')).ok());
  EXPECT_FALSE(Expression::Parse("a+b")->Evaluate([](const std::string&) { return std::nullopt; }));
}

}  // namespace
}  // namespace isoflop
