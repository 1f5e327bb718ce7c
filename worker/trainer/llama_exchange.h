// Checkpoints to and from the layout of transformers' LlamaForCausalLM: a folder with
// config.json and model.safetensors.
//
//   ours                                  theirs, below model.layers.I.
//   blocks.I.attention_norm.weight        input_layernorm.weight
//   blocks.I.attention.qkv.weight  3 D    self_attn.{q,k,v}_proj.weight, D rows each
//   blocks.I.attention.out.weight         self_attn.o_proj.weight
//   blocks.I.mlp_norm.weight              post_attention_layernorm.weight
//   blocks.I.mlp.up.weight  2 F           mlp.{gate,up}_proj.weight, F rows each
//   blocks.I.mlp.down.weight              mlp.down_proj.weight
//   final_norm.weight, embedding.weight, head.weight
//                                         model.norm.weight, model.embed_tokens.weight, lm_head.weight
//
// Both turn RoPE by halves with theta 10000, so no row moves. A shape that Llama does
// not have is refused, with the keys in the way.
//
// No Torch here: host floats only.
#ifndef ISOFLOP_WORKER_TRAINER_LLAMA_EXCHANGE_H_
#define ISOFLOP_WORKER_TRAINER_LLAMA_EXCHANGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "study/model_shape.h"

namespace isoflop {

// InvalidArgument: which keys of the shape Llama lacks, each with the value it needs.
absl::Status CheckLlamaShape(const ModelShape& shape);

struct ExchangedModel {
  std::string path;        // what was written
  int64_t bytes = 0;       // of model.safetensors
  int64_t params_total = 0;
};

// Writes the checkpoint at `checkpoint` into the folder `directory` (made where it is
// missing): config.json, model.safetensors (fp32), isoflop.json with the trial, and
// `tokenizer_model` as tokenizer.model where it is not empty. Errors: VerifyCheckpoint's,
// CheckLlamaShape's, and InvalidArgument for a checkpoint of format 1 or of counts.
absl::StatusOr<ExchangedModel> ExportLlama(const std::string& checkpoint, const std::string& directory,
                                           const std::string& tokenizer_model);

// Reads such a folder into a checkpoint below `folder` that the text tools open; with
// isoflop.json in it the same trial and, bit for bit, the same model.safetensors.
// F32, BF16 and F16 tensors. `tokenizer`: "bytes" or empty, for a model that does not
// name its own. NotFound, DataLoss; InvalidArgument: keys of config.json that this
// trainer lacks (grouped queries, other eps or theta, biases, shards), each by name.
absl::StatusOr<ExchangedModel> ImportLlama(const std::string& directory, const std::string& folder,
                                           const std::string& tokenizer);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_LLAMA_EXCHANGE_H_
