// A trainer by the contract (docs/trainer_contract.md) that answers with a law of
// known truth instead of training: E + A/N^alpha + B/D^beta + noise(seed).
//
// Its script is the trial's `trainer.options` and the environment variable
// SCRIPTED_TRAINER, "key=value,...", which wins:
//   E A B alpha beta sigma   the law and the noise of its logarithm
//   delay_ms, total_ms       of each step; or of a whole trial, however many
//   points, checkpoints      so many in a trial, evenly
//   eval_tokens              of the final loss
//   checkpoint_every         steps; 0: only when asked and at branch points
//   crash_at, exit_at, exit_code, hang_at, nan_at, garbage_at, error_at, error_kind
//                            faults at a step, in the first `fault_attempts`
//   no_final, probe          likewise: no final line; a micro-batch that is told
//   fault_attempts           attempts that suffer them (default 1)
//   fault_rank               the rank that does (default 0)
//   grandchild, pid_file     a process that outlives the trainer, its number
//   ignore_term, slow_start_ms, stdout, say_every
//   miscount                 added to the params_total that it states
//   record                   a file that gets a line for each event that is said
// N = non-embedding + head, D = steps x batch tokens.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

namespace {

using Json = nlohmann::json;

volatile sig_atomic_t g_stop = 0;
volatile sig_atomic_t g_checkpoint = 0;

std::map<std::string, std::string> g_script;
int g_events = 1;
bool g_prefix = false;

double Number(const std::string& name, double otherwise) {
  const auto found = g_script.find(name);
  return found == g_script.end() ? otherwise : atof(found->second.c_str());
}
int64_t Count(const std::string& name, int64_t otherwise) {
  return static_cast<int64_t>(Number(name, static_cast<double>(otherwise)));
}

void WriteLine(const std::string& text) {
  const std::string line = text + "\n";
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote = write(g_events, line.data() + done, line.size() - done);
    if (wrote < 0) {
      if (errno == EINTR) continue;
      _exit(1);  // the agent is gone
    }
    done += static_cast<size_t>(wrote);
  }
}

// What is about to be said, for tests that compare it with what was stored.
void Record(const Json& event) {
  const auto path = g_script.find("record");
  if (path == g_script.end()) return;
  const char* lease = getenv("ISOFLOP_LEASE");
  std::ofstream(path->second, std::ios::app)
      << std::string(lease == nullptr ? "0" : lease) + " " + event.dump() + "\n" << std::flush;
}

void Say(const Json& event) {
  Record(event);
  WriteLine((g_prefix ? "ISOFLOP " : "") + event.dump());
}

const char* Env(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

struct Params {
  double fitted = 0;  // N = blocks + head, where a tied head multiplies all the same
  int64_t total = 0;
};

// Of a transformer as the trial's JSON states it, or a custom model's stated
// ones.
Params ParamsOf(const Json& model) {
  if (model.contains("params_blocks")) {
    const auto count = [&](const char* name) { return model.value(name, int64_t{0}); };
    const int64_t fitted = count("params_blocks") + count("params_head");
    return {static_cast<double>(fitted),
            fitted + count("params_embedding") + count("params_position")};
  }
  const double d = model.value("d_model", 0.0), layers = model.value("n_layer", 0.0);
  const double ff = model.value("d_ff", 0.0), vocab = model.value("vocab_size", 0.0);
  const double matrices = model.value("activation", std::string("gelu")) == "swiglu" ? 3 : 2;
  const bool bias = model.value("bias", false);
  const bool layernorm = model.value("norm", std::string("rmsnorm")) == "layernorm";
  const double norm = layernorm && bias ? 2 * d : d;
  double blocks = layers * (4 * d * d + matrices * d * ff + 2 * norm) + norm;
  if (bias) blocks += layers * (4 * d + (matrices - 1) * ff + d);
  if (model.value("qk_norm", false)) blocks += layers * 2 * d / model.value("n_head", 1.0);
  const double heads = model.value("tied_head", false) ? 1 : 2;
  return {blocks + vocab * d, static_cast<int64_t>(blocks + heads * vocab * d)};
}

// A standard normal that is a function of the seed and of nothing else.
double Normal(uint64_t seed) {
  const auto mix = [](uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  };
  const double u = (static_cast<double>(mix(seed) >> 11) + 0.5) / 9007199254740992.0;
  const double v = (static_cast<double>(mix(seed + 1) >> 11) + 0.5) / 9007199254740992.0;
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

uint64_t HashOf(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

void WriteCheckpoint(int64_t step, int64_t tokens, const char* reason) {
  char name[32];
  snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  const std::string path = std::string(Env("ISOFLOP_CHECKPOINT_DIR")) + "/" + name;
  const std::string temporary = path + ".tmp";
  mkdir(temporary.c_str(), 0755);
  std::ofstream(temporary + "/step") << step;
  if (rename(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST && errno != ENOTEMPTY) _exit(75);
  Say({{"event", "checkpoint"}, {"step", step}, {"tokens", tokens}, {"path", path},
       {"bytes", 8}, {"reason", reason}});
}

[[noreturn]] void Refuse(const std::string& message) {
  Say({{"event", "error"}, {"kind", "config"}, {"message", message}});
  _exit(78);
}

}  // namespace

int main() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = [](int) { g_checkpoint = 1; };
  sigaction(SIGUSR1, &action, nullptr);

  if (*Env("ISOFLOP_EVENTS_FD") != '\0') g_events = atoi(Env("ISOFLOP_EVENTS_FD"));
  std::ifstream in(Env("ISOFLOP_TRIAL"));
  const Json trial = Json::parse(in, nullptr, false);
  if (!trial.is_object()) Refuse("ISOFLOP_TRIAL: is not a trial");
  if (trial.contains("trainer") && trial["trainer"].contains("options")) {
    for (const auto& [name, value] : trial["trainer"]["options"].items()) {
      g_script[name] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  }
  std::stringstream words(Env("SCRIPTED_TRAINER"));
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = word.find('=');
    if (equals != std::string::npos) g_script[word.substr(0, equals)] = word.substr(equals + 1);
  }
  if (Count("stdout", 0) != 0) {
    g_events = 1;
    g_prefix = true;
  }

  const int rank = atoi(Env("RANK"));
  const bool faulty = atoll(Env("ISOFLOP_ATTEMPT")) <= Count("fault_attempts", 1);
  const auto at = [&](const char* name) { return faulty ? Count(name, -1) : -1; };
  const int64_t steps = trial.value("steps", int64_t{0});
  const int64_t batch_tokens = trial.value("batch_tokens", int64_t{1});
  const Params params = ParamsOf(trial["model"]);
  const double n = params.fitted;
  std::set<int64_t> branch_steps;
  if (trial.contains("branch_steps") && trial["branch_steps"].is_array()) {
    for (const Json& step : trial["branch_steps"]) branch_steps.insert(step.get<int64_t>());
  }
  int64_t step = 0;
  if (*Env("ISOFLOP_RESUME") != '\0') {
    std::ifstream saved(std::string(Env("ISOFLOP_RESUME")) + "/step");
    if (!(saved >> step)) {
      Say({{"event", "error"}, {"kind", "checkpoint"}, {"message", "checkpoint: no step"}});
      _exit(75);
    }
    if (step > steps) Refuse("checkpoint: beyond the trial");
  }
  const Json start = {{"event", "started"}, {"contract", 1},
                      {"params_total", params.total + Count("miscount", 0)}, {"resumed_step", step},
                      {"device", "scripted"}, {"precision", "fp32"}, {"program", "scripted_trainer"}};
  if (Count("slow_start_ms", 0) > 0) usleep(static_cast<useconds_t>(Count("slow_start_ms", 0)) * 1000);
  if (rank == 0) Say(start);
  if (rank == 0 && Count("probe", 0) > 0) {
    // As the contract asks: never more than the limit.
    const int64_t limit = *Env("ISOFLOP_MICRO_BATCH_LIMIT") == '\0'
                              ? Count("probe", 0) : atoll(Env("ISOFLOP_MICRO_BATCH_LIMIT"));
    Say({{"event", "probe"}, {"accumulation_steps", 1},
         {"micro_batch_sequences", std::min(limit, Count("probe", 0))}});
  }
  if (Count("grandchild", 0) != 0 && fork() == 0) {
    // Outlives its parent, which PR_SET_PDEATHSIG does not reach.
    signal(SIGTERM, SIG_IGN);
    if (g_script.count("pid_file") != 0) {
      const std::string path = g_script["pid_file"];
      std::ofstream(path + ".tmp") << getpid() << "\n";
      rename((path + ".tmp").c_str(), path.c_str());
    }
    while (true) pause();
  }
  printf("rank %d of %s from step %lld\n", rank, Env("WORLD_SIZE"), static_cast<long long>(step));
  fflush(stdout);
  const double e = Number("E", 1.69), a = Number("A", 406.4), b = Number("B", 410.7);
  const double alpha = Number("alpha", 0.34), beta = Number("beta", 0.28);
  const auto loss_at = [&](int64_t s) {
    return e + a / std::pow(std::max(n, 1.0), alpha) +
           b / std::pow(static_cast<double>(std::max<int64_t>(s * batch_tokens, 1)), beta);
  };
  const auto one_in = [&](const char* parts, int64_t otherwise) {
    return Count(parts, 0) > 0 ? std::max<int64_t>(steps / Count(parts, 0), 1) : otherwise;
  };
  const int64_t every = one_in("checkpoints", Count("checkpoint_every", 0));
  const int64_t say_every = one_in("points", std::max<int64_t>(Count("say_every", 1), 1));
  const double total_ms = Number("total_ms", 0);
  const auto delay = static_cast<useconds_t>(
      1000 * (total_ms > 0 ? total_ms / static_cast<double>(steps) : Number("delay_ms", 0)));
  while (step < steps) {
    if (delay > 0) usleep(delay);
    ++step;
    const int64_t tokens = step * batch_tokens;
    const int fault_rank = static_cast<int>(Count("fault_rank", 0));
    if (rank == fault_rank) {
      if (step == at("crash_at")) {
        fprintf(stderr, "scripted crash at step %lld\n", static_cast<long long>(step));
        abort();
      }
      if (step == at("error_at")) {
        Say({{"event", "error"}, {"kind", g_script["error_kind"]}, {"message", "scripted"}, {"step", step}});
      }
      if (step == at("exit_at")) {
        fprintf(stderr, "scripted exit at step %lld\n", static_cast<long long>(step));
        fflush(nullptr);
        _exit(static_cast<int>(Count("exit_code", 1)));
      }
      if (step == at("hang_at")) {
        while (true) pause();
      }
    }
    if (rank == 0) {
      if (step == at("garbage_at")) {
        WriteLine("{\"event\":\"step\",\"step\":");
        WriteLine("\xff\xfe not json at all");
        WriteLine("{\"event\":\"step\",\"step\":-1,\"tokens\":0,\"loss_nats\":1}");
        WriteLine("{\"event\":\"weather\",\"text\":\"fine\"}");
        WriteLine(std::string(70000, 'x'));
      }
      const bool is_nan = step == at("nan_at");
      Json point = {{"event", "step"}, {"step", step}, {"tokens", tokens},
                    {"loss_nats", is_nan ? Json(nullptr) : Json(loss_at(step))}};
      if (step % say_every == 0 || step == steps || is_nan) Say(point);
      if (is_nan) {
        Say({{"event", "error"}, {"kind", "diverged"}, {"message", "loss is not finite"}, {"step", step}});
        _exit(87);
      }
      const bool asked = g_checkpoint != 0;
      g_checkpoint = 0;
      if (branch_steps.count(step) != 0) {
        WriteCheckpoint(step, tokens, "branch");
      } else if (asked || (every > 0 && step % every == 0)) {
        WriteCheckpoint(step, tokens, asked ? "asked" : "periodic");
      }
    }
    if (g_stop != 0 && Count("ignore_term", 0) == 0 && step < steps) {
      if (rank == 0) WriteCheckpoint(step, tokens, "preempted");
      _exit(85);
    }
  }
  if (rank == 0 && at("no_final") <= 0) {
    // Of what the experiment is, not of where its program lies.
    const std::string identity =
        trial["model"].dump() + " " + std::to_string(steps) + " " + std::to_string(trial.value("seed", 0));
    const double noise = Number("sigma", 0) * Normal(HashOf(identity));
    Say({{"event", "final"}, {"step", step}, {"tokens_trained", step * batch_tokens},
         {"final_loss_nats", loss_at(step) * std::exp(noise)},
         {"eval_tokens", Count("eval_tokens", 10000)}});
  }
  return 0;
}
