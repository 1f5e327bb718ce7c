// Numbers of the network that no shape states. No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_NETWORK_CONSTANTS_H_
#define ISOFLOP_WORKER_TRAINER_NETWORK_CONSTANTS_H_

namespace isoflop {

// Added to the mean square (rmsnorm) or the variance (layernorm).
inline constexpr double kRmsNormEps = 1e-6;
inline constexpr double kLayerNormEps = 1e-5;

// RoPE turns pair i of a head of size K by position * theta^(-2 i / K).
inline constexpr double kRopeTheta = 10000;

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_NETWORK_CONSTANTS_H_
