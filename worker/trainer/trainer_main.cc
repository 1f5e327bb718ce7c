#include "worker/trainer/trainer_main.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <torch/version.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "corpus/dataset.h"
#include "study/trial_text.h"
#include "worker/trainer/check_trial.h"
#include "worker/trainer/code_version.h"
#include "worker/trainer/communicator.h"
#include "worker/trainer/cuda_device.h"
#include "worker/trainer/device_facts.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/ngram_trial.h"
#include "worker/trainer/stop_signals.h"
#include "worker/trainer/text_tools.h"
#include "worker/trainer/train_loop.h"
#include "worker/trainer/trainer_environment.h"
#include "worker/trainer/trial_failure.h"

namespace isoflop {
namespace {

constexpr char kHelp[] = R"(isoflop-trainer: trains one trial, as the trainer contract says

  ISOFLOP_TRIAL=trial.json ISOFLOP_DATA=data/dataset.json isoflop-trainer
  ISOFLOP_TRIAL=trial.json ISOFLOP_DATA=data/dataset.json \
    ISOFLOP_CHECKPOINT_DIR=ckpt ISOFLOP_RESUME=ckpt/step-00000800 isoflop-trainer

The agent of `isoflop run` and `isoflop worker` starts it, once a rank. By hand,
`isoflop plan STUDY.yaml --json` prints the trials of a study. Event lines go to
standard output, or to the descriptor ISOFLOP_EVENTS_FD.

With a trained model (each has --help; `isoflop perplexity TRIAL` and its like call them):

  isoflop-trainer perplexity --checkpoint DIR --data FILE
  isoflop-trainer generate --checkpoint DIR --prompt "It is a truth" -n 200
  isoflop-trainer attention --checkpoint DIR --text "It is a truth" --layer 0 -o F.svg
  isoflop-trainer checkpoint-export --checkpoint DIR -o FOLDER
  isoflop-trainer checkpoint-import FOLDER -o DIR

  --version      code, Torch, CUDA devices
  --check-nccl   join a group of one over NCCL on GPU 0, and say what happened
  --help         this

Environment: ISOFLOP_TRIAL ISOFLOP_DATA ISOFLOP_CHECKPOINT_DIR ISOFLOP_RESUME
  ISOFLOP_EVENTS_FD ISOFLOP_CHECKPOINT_SECONDS ISOFLOP_GRACE_SECONDS
  ISOFLOP_COLLECTIVE_SECONDS ISOFLOP_MICRO_BATCH_LIMIT ISOFLOP_CUDA_GRAPHS
  ISOFLOP_LEASE ISOFLOP_ATTEMPT RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR
  MASTER_PORT OMP_NUM_THREADS
Exit codes: 0 done, 75 transient, 78 wrong trial or data, 85 stopped with a
  checkpoint, 86 out of memory, 87 diverged. See docs/trainer_contract.md.
)";

int PrintVersion() {
  const int devices = CudaDeviceCount();
  std::printf("isoflop-trainer %s (%s)\ntorch %s, CUDA devices: %d\n", CodeVersion().c_str(),
              BuildType().c_str(), TORCH_VERSION, devices);
  for (int device = 0; device < devices; ++device) {
    std::printf("  %d: %s\n", device, CudaDeviceName(device).c_str());
  }
  return 0;
}

int CheckNccl() {
  try {
    Rendezvous alone;
    const std::unique_ptr<Communicator> group = MakeNcclCommunicator(alone, 0);
    at::Tensor one = at::ones({1}, at::TensorOptions().dtype(at::kFloat).device(at::kCUDA));
    group->AllReduceSum(one)->Wait();
    std::printf("NCCL: a group of one on %s sums %g\n", CudaDeviceName(0).c_str(), one.item<double>());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return kExitTransient;
  }
}

absl::StatusOr<TrialSpec> ReadTrial(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.good() && !file.eof()) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read\ncure: ISOFLOP_TRIAL names the file of the trial"));
  }
  absl::StatusOr<TrialSpec> trial = ParseTrialText(text);
  if (!trial.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(trial.status().message())));
  return trial;
}

// Gradients and activations come and go with every step: keep their memory
// instead of handing it back to the system, which would clear it page by page.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

std::unique_ptr<Communicator> JoinRanks(const TrainerEnvironment& env, at::Device device) {
  if (env.world_size == 1) return MakeSoloCommunicator();
  Rendezvous rendezvous;
  rendezvous.rank = env.rank;
  rendezvous.world_size = env.world_size;
  rendezvous.master_addr = env.master_addr;
  rendezvous.master_port = env.master_port;
  rendezvous.lease = env.lease;
  rendezvous.timeout = env.collective_timeout;
  // NCCL refuses two ranks on one GPU; Gloo stages them through the host.
  const bool own_gpu = device.is_cuda() && env.local_world_size <= CudaDeviceCount();
  return own_gpu ? MakeNcclCommunicator(rendezvous, device.index()) : MakeGlooCommunicator(rendezvous);
}

int TrainTrial(const TrainerEnvironment& env, EventWriter& events) {
  const absl::StatusOr<TrialSpec> trial = ReadTrial(env.trial_path);
  ThrowUnlessOk(trial.status(), "config");
  if (env.threads > 0) at::set_num_threads(env.threads);
  at::set_num_interop_threads(1);
  DatasetOptions options;
  options.verify_hashes = env.local_rank == 0;  // once a node
  const absl::StatusOr<Dataset> dataset = Dataset::Open(env.data_path, options);
  if (absl::IsNotFound(dataset.status())) {
    throw TrialFailure(kExitConfig, "data",
                       absl::StrCat(std::string(dataset.status().message()),
                                    "\ncure: give ISOFLOP_DATA the dataset.json of a complete data set; `isoflop data prepare` makes one"));
  }
  ThrowUnlessOk(dataset.status(), "data");
  // Before the ranks meet: a rank that leaves then would tear the join of the others.
  ThrowUnlessOk(CheckTrial(*trial, *dataset, env.world_size), "config");
  if (trial->model.family == Family::kNgram) {
    return CountNgramTrial(*trial, *dataset, env.checkpoint_dir, events, CodeVersion(), [] { return absl::Now(); });
  }
  const at::Device device = ChooseDevice(env.local_rank);
  const std::unique_ptr<Communicator> communicator = JoinRanks(env, device);
  const TrainSetup setup{env, *dataset, *communicator, device, CodeVersion(), [] { return absl::Now(); }};
  return Train(*trial, setup, events);
}

// Torch tells a full CPU by an ordinary error.
bool IsOutOfMemory(const c10::Error& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         std::string(error.what_without_backtrace()).find("can't allocate memory") != std::string::npos;
}

int RunTextTool(int argc, char** argv) {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  try {
    return TextToolMain(argc, argv);
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "isoflop-trainer: %s%s\n", error.what_without_backtrace(),
                 IsOutOfMemory(error) ? "\ncure: --cpu, or a device with more memory" : "");
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "isoflop-trainer: the machine's memory is full\ncure: a machine with more\n");
    return 1;
  }
}

}  // namespace

int TrainerMain(int argc, char** argv) {
  if (argc > 1) {
    const std::string option = argv[1];
    if (option == "--version") return PrintVersion();
    if (option == "--check-nccl") return CheckNccl();
    if (IsTextTool(option)) return RunTextTool(argc, argv);
    const bool help = option == "--help" || option == "-h";
    if (!help) std::fprintf(stderr, "isoflop-trainer: unknown option '%s'\ncure: isoflop-trainer --help\n", argv[1]);
    std::fputs(kHelp, help ? stdout : stderr);
    return help ? 0 : 64;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  StopSignals::Install();
  KeepFreedMemory();
  // Without it cuBLAS is not deterministic; read when CUDA starts.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);

  const absl::StatusOr<TrainerEnvironment> env = ReadTrainerEnvironment(&std::getenv);
  if (!env.ok()) {
    std::fprintf(stderr, "isoflop-trainer: %s\n", std::string(env.status().message()).c_str());
    return kExitConfig;
  }
  EventWriterOptions options;
  options.fd = env->events_fd;
  options.rank = env->rank;
  EventWriter events(options);
  const auto end = [&](int exit_code, const std::string& kind, const std::string& message,
                       std::optional<int64_t> step = std::nullopt) {
    events.Error(kind, message, step);
    std::fprintf(stderr, "isoflop-trainer: rank %d: %s: %s\n", env->rank, kind.c_str(), message.c_str());
    return exit_code;
  };
  constexpr char kOomCure[] = "\ncure: the next attempt takes half the micro-batch; else more slots or a smaller network";
  try {
    return TrainTrial(*env, events);
  } catch (const TrialFailure& failure) {
    return end(failure.exit_code(), failure.kind(), failure.what(), failure.step());
  } catch (const CommunicationError& error) {
    return end(kExitTransient, "comm", error.what());
  } catch (const c10::Error& error) {
    if (IsOutOfMemory(error)) return end(kExitOom, "oom", std::string(error.what_without_backtrace()) + kOomCure);
    return end(1, "bug", error.what());
  } catch (const std::bad_alloc&) {
    return end(kExitOom, "oom", std::string("the machine's memory is full") + kOomCure);
  } catch (const std::exception& error) {
    return end(1, "bug", error.what());
  }
}

}  // namespace isoflop
