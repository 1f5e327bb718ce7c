// A small network's checkpoint for tests: a layout, its three flat buffers with
// numbers that differ everywhere, and a folder of its own.
#ifndef ISOFLOP_TESTS_WORKER_TRAINER_CHECKPOINT_FIXTURE_H_
#define ISOFLOP_TESTS_WORKER_TRAINER_CHECKPOINT_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "worker/trainer/checkpoint.h"

namespace isoflop {

inline ModelShape TinyShape() {
  ModelShape shape;
  shape.d_model = 8;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 32;
  shape.vocab_size = 17;
  return shape;
}

// As a full disk: while it lives the kernel takes no more than `bytes` bytes of any
// one file.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

class CheckpointFixture : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/isoflop-checkpoint-" + std::to_string(getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    Number(weights_, 1);
    Number(first_, 100);
    Number(second_, 10'000);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static void Number(std::vector<float>& values, float scale) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = scale * (1 + static_cast<float>(i) / 7);
  }

  CheckpointState State(int64_t step) const {
    CheckpointState state;
    state.fingerprint = "f";
    state.lineage = "l";
    state.step = step;
    state.tokens = step * 64;
    state.smoothed_loss_nats = 2.5 + 1.0 / 3;
    state.steps_above = 3;
    state.point_loss_sum_nats = 9.1;
    state.point_steps = 4;
    state.micro_batch_sequences = 4;
    state.accumulation_steps = 2;
    state.world_size = 2;
    state.threads = 1;
    state.device = "cpu";
    state.torch_version = "2.11.0";
    state.code_version = "0.1.0+gabc";
    state.dataset_sha256 = "d";
    return state;
  }

  CheckpointTensors Tensors() const { return {weights_.data(), first_.data(), second_.data()}; }

  std::string Write(int64_t step) const {
    const auto written = WriteCheckpoint(folder_, layout_, State(step), Tensors());
    EXPECT_TRUE(written.ok()) << written.status();
    return written.ok() ? written->path : "";
  }

  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  static void Store(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

  std::vector<std::string> Listing() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename().string());
    return names;
  }

  const ParameterLayout layout_ = LayOutParameters(TinyShape(), 16);
  const size_t size_ = static_cast<size_t>(layout_.total);
  std::vector<float> weights_ = std::vector<float>(size_), first_ = weights_, second_ = weights_;
  std::string folder_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_TRAINER_CHECKPOINT_FIXTURE_H_
