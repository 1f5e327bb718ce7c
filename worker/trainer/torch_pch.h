// The one precompiled header of the files that see Torch. ATen and autograd, no
// torch/torch.h: that one takes three times as long to read.
#ifndef ISOFLOP_WORKER_TRAINER_TORCH_PCH_H_
#define ISOFLOP_WORKER_TRAINER_TORCH_PCH_H_

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <string>
#include <vector>

#endif  // ISOFLOP_WORKER_TRAINER_TORCH_PCH_H_
