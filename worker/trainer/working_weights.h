// The weights as a pass multiplies with them: the fp32 leaves themselves, or in
// bf16 a copy of each that hands its gradient on to the leaf.
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_WORKING_WEIGHTS_H_
#define ISOFLOP_WORKER_TRAINER_WORKING_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "study/trial_spec.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

class WorkingWeights {
 public:
  // Keeps a pointer to `parameters`.
  WorkingWeights(const Parameters& parameters, Precision precision);

  // Renews the bf16 copies; must follow each change of the weights. Does nothing
  // in fp32.
  void Refresh();

  // The parameter called `name` for one pass; undefined where the layout has none
  // of that name. In bf16 each call adds a node to the graph: once a pass.
  at::Tensor Get(const std::string& name) const;

  Precision precision() const { return precision_; }

 private:
  // Constant after construction.
  const Parameters* const parameters_;
  const Precision precision_;

  // bf16 only.
  at::Tensor copies_;  // (P)
  std::vector<at::Tensor> copy_views_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_WORKING_WEIGHTS_H_
