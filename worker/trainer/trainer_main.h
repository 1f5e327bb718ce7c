// The program isoflop-trainer behind its main(): options, environment, one trial,
// and every way in which it can end as an exit code.
#ifndef ISOFLOP_WORKER_TRAINER_TRAINER_MAIN_H_
#define ISOFLOP_WORKER_TRAINER_TRAINER_MAIN_H_

namespace isoflop {

// Gives the exit code of the trainer contract. Nothing is thrown.
int TrainerMain(int argc, char** argv);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRAINER_MAIN_H_
