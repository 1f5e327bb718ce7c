"""A whole trainer by the contract of docs/trainer_contract.md, without a network.

Put your own model where the comments say so; everything else is what isoflop
needs to plan, stop, resume and analyse your runs.
"""
import json, os, signal, sys

env = os.environ
with open(env["ISOFLOP_TRIAL"]) as file:
    trial = json.load(file)
model = trial["model"]
params = sum(count for name, count in model.items() if name.startswith("params_"))

events = os.fdopen(int(env.get("ISOFLOP_EVENTS_FD", 1)), "w", buffering=1)
def say(event, **fields):
    events.write(json.dumps({"event": event, **fields}) + "\n")

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append("preempted"))  # save, then exit 85
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append("asked"))     # save and go on

step = 0
if env.get("ISOFLOP_RESUME"):                                      # load your weights here
    with open(env["ISOFLOP_RESUME"] + "/step") as file:
        step = int(file.read())
say("started", contract=1, params_total=params, resumed_step=step, program="train.py")

def save(reason):
    path = f"{env['ISOFLOP_CHECKPOINT_DIR']}/step-{step:08d}"
    os.makedirs(path + ".tmp", exist_ok=True)
    with open(path + ".tmp/step", "w") as file:                    # save your weights here
        file.write(str(step))
    os.replace(path + ".tmp", path)                                # whole, or not there
    say("checkpoint", step=step, tokens=step * trial["batch_tokens"], path=path, reason=reason)

loss = None
while step < trial["steps"]:
    step += 1
    tokens = step * trial["batch_tokens"]
    # Train here. This one answers by a law instead: E + A/N^alpha + B/D^beta.
    matrices = model["params_blocks"] + model["params_head"]
    loss = 1.7 + 40 / matrices ** 0.35 + 60 / tokens ** 0.3
    if step % 10 == 0:
        say("step", step=step, tokens=tokens, loss_nats=loss)
    if step in trial["branch_steps"]:
        save("branch")
    elif asked:
        save(asked.pop())
    if stop and step < trial["steps"]:
        if step not in trial["branch_steps"]:
            save(stop[0])
        sys.exit(85)

# Evaluate on your frozen evaluation set here.
say("final", step=step, tokens_trained=step * trial["batch_tokens"], final_loss_nats=loss, eval_tokens=10000)
