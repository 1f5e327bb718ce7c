#include "worker/trainer/check_trial.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "corpus/batch_order.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

template <class... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckModel(const TrialSpec& trial) {
  const ModelShape& model = trial.model;
  if (model.family == Family::kCustom) {
    return Wrong("model.family ", ToString(model.family), ": this trainer has transformer, lstm and ngram\n"
                 "cure: name a program of your own with trainer: {command: ...}");
  }
  if (model.family == Family::kNgram) {
    if (model.ngram_order < 1 || model.ngram_order > kMostNgramOrder || model.vocab_size < 2) {
      return Wrong("model: order ", model.ngram_order, ", vocab_size ", model.vocab_size, ": orders are 1 to ",
                   kMostNgramOrder, "\ncure: mend the baseline");
    }
    return absl::OkStatus();
  }
  if (model.dropout < 0 || model.dropout >= 1) {
    return Wrong("model.dropout ", model.dropout, ": must lie in [0, 1)\ncure: 0 is usual for one pass over the data");
  }
  if (model.family == Family::kLstm) {
    if (model.d_model > 0 && model.n_layer > 0 && model.vocab_size > 0) return absl::OkStatus();
    return Wrong("model: d_model ", model.d_model, ", n_layer ", model.n_layer, ", vocab_size ", model.vocab_size,
                 ": every size is 1 or more\ncure: mend the shape");
  }
  if (model.d_model <= 0 || model.n_layer <= 0 || model.n_head <= 0 || model.d_ff <= 0 || model.vocab_size <= 0) {
    return Wrong("model: d_model ", model.d_model, ", n_layer ", model.n_layer, ", n_head ", model.n_head, ", d_ff ",
                 model.d_ff, ", vocab_size ", model.vocab_size, ": every size is 1 or more\ncure: mend the shape");
  }
  if (model.d_model % model.n_head != 0) {
    return Wrong("model: d_model ", model.d_model, " is not a multiple of n_head ", model.n_head,
                 "\ncure: choose heads that divide the width");
  }
  if (model.position == Position::kRope && model.d_model / model.n_head % 2 != 0) {
    return Wrong("model: rope turns pairs, but the head size d_model/n_head = ", model.d_model / model.n_head,
                 " is odd\ncure: choose heads so that their size is even");
  }
  if (model.position == Position::kLearned && trial.eval_sequence_length > trial.sequence_length) {
    return Wrong("eval.sequence_length ", trial.eval_sequence_length, " is longer than the ", trial.sequence_length,
                 " learned positions\ncure: evaluate at sequence_length or below, or use rope");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTrial(const TrialSpec& trial, const Dataset& dataset, int world_size) {
  ISOFLOP_RETURN_IF_ERROR(CheckModel(trial));
  if (trial.sequence_length <= 0 || trial.batch_sequences <= 0 || trial.steps <= 0 || trial.eval_sequence_length <= 0) {
    return Wrong("sequence_length ", trial.sequence_length, ", batch_sequences ", trial.batch_sequences, ", steps ",
                 trial.steps, ", eval.sequence_length ", trial.eval_sequence_length, ": each is 1 or more");
  }
  if (trial.model.family == Family::kNgram && world_size != 1) {
    return Wrong("an n-gram model is counted by one rank, not ", world_size, "\ncure: one slot");
  }
  if (trial.batch_sequences % world_size != 0) {
    return Wrong("batch_sequences ", trial.batch_sequences, " is not a multiple of the ", world_size,
                 " ranks\ncure: choose slots that divide the batch");
  }
  if (!trial.data.dataset_sha256.empty() && trial.data.dataset_sha256 != dataset.dataset_sha256()) {
    return Wrong(dataset.path(), ": sha256 ", dataset.dataset_sha256(), ", but the trial was planned for ",
                 trial.data.dataset_sha256, "\ncure: give the data set of the study, or plan it again");
  }
  if (!trial.data.eval_sha256.empty() && trial.data.eval_sha256 != dataset.eval_sha256()) {
    return Wrong(dataset.path(), ": the evaluation set has sha256 ", dataset.eval_sha256(), ", the trial's ",
                 trial.data.eval_sha256, "\ncure: give the data set of the study, or plan it again");
  }
  if (dataset.vocab_size() > trial.model.vocab_size) {
    return Wrong(dataset.path(), ": ids up to ", dataset.vocab_size() - 1, ", but model.vocab_size is ",
                 trial.model.vocab_size, "\ncure: leave vocab_size to the data");
  }
  if (WindowCount(dataset.train_tokens(), trial.sequence_length) < 1) {
    return Wrong(dataset.path(), ": ", dataset.train_tokens(), " training tokens are less than one window of ",
                 trial.sequence_length, "\ncure: shorten sequence_length or prepare more text");
  }
  if (trial.tokens_planned() > dataset.train_tokens() && !trial.data.allow_repeat) {
    return Wrong("tokens_planned ", trial.tokens_planned(), " is more than the ", dataset.train_tokens(), " of ",
                 dataset.path(), "\ncure: data.if_short: repeat in the study (such trials are not fitted), or prepare more text");
  }
  if (dataset.eval_tokens() < 2) {
    return Wrong(dataset.path(), ": no evaluation tokens\ncure: prepare the data with a larger data.eval.share");
  }
  return absl::OkStatus();
}

}  // namespace isoflop
