#include "worker/trainer/trainer_main.h"

int main(int argc, char** argv) { return isoflop::TrainerMain(argc, argv); }
