"""Data-parallel training of small models by two single-threaded processes over shared memory.

On two cores this is faster than one process of two threads. Parameters, gradients and averages live in shared memory;
each process computes the gradient of its own batch and then updates its own half of the parameters.
"""

import math
import time

import torch
import torch.multiprocessing as multiprocessing

WORKERS = 2


def orthogonalise(matrix):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix (coefficients of the Muon optimiser).

    All steps are taken on the small Gram matrix, which costs less than half of taking them on the matrix itself.
    """
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    gram = x @ x.T
    norm = gram.trace() + 1e-14
    gram /= norm
    total = torch.eye(len(gram))
    for _ in range(5):
        polynomial = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        polynomial.diagonal().add_(3.4445)
        total = polynomial @ total
        gram = polynomial @ gram @ polynomial
    x = (total * norm.rsqrt()) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Optimizer:
    """Muon for the matrices inside the model, AdamW for everything else, one parameter at a time.

    Muon's updates are scaled to the size of AdamW's, so that one learning rate serves both.
    """

    def __init__(self, named_parameters, is_matrix):
        self.entries = []
        for name, parameter in named_parameters:
            matrix = is_matrix(name, parameter)
            state = {"m": torch.zeros_like(parameter)}
            if not matrix:
                state["v"] = torch.zeros_like(parameter)
            self.entries.append((name, parameter, matrix, state))
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients, rate):
        self.steps += 1
        for name, parameter, matrix, state in self.entries:
            gradient = gradients[name]
            if matrix:
                state["m"].lerp_(gradient, 0.05)
                update = orthogonalise(torch.lerp(gradient, state["m"], 0.95).flatten(1))
                update *= 0.2 * math.sqrt(max(update.shape))
                parameter.add_(update.view_as(parameter), alpha=-rate)
            else:
                state["m"].lerp_(gradient, 0.1)
                state["v"].mul_(0.98).addcmul_(gradient, gradient, value=0.02)
                correction = math.sqrt(1 - 0.98**self.steps) / (1 - 0.9**self.steps)
                parameter.addcdiv_(state["m"], state["v"].sqrt().add_(1e-8), value=-rate * correction)

    def state(self):
        return {"steps": self.steps, "states": {name: state for name, _, _, state in self.entries}}

    def load(self, saved):
        self.steps = saved["steps"]
        for name, _, _, state in self.entries:
            for key, value in saved["states"][name].items():
                state[key].copy_(value)


def split(named_parameters):
    """Shares the parameters out so that both workers have about the same amount to update."""
    shares, sizes = [[] for _ in range(WORKERS)], [0] * WORKERS
    for name, parameter in sorted(named_parameters, key=lambda entry: -entry[1].numel()):
        smallest = sizes.index(min(sizes))
        shares[smallest].append((name, parameter))
        sizes[smallest] += parameter.numel()
    return shares


def learning_rate(progress, step, peak, warm_up, flat):
    """Linear warm-up in steps; flat until `flat` of the time has gone; then linearly down to zero."""
    rate = peak * min(1.0, (step + 1) / warm_up)
    return rate * min(1.0, max(0.0, (1 - progress) / (1 - flat)))


def _work(rank, barrier, job, model, average, gradients, shared, saved):
    torch.set_num_threads(1)
    torch.manual_seed(1000 + rank + 10 * int(saved["step"]))
    parameters = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    views, offset = [{} for _ in range(WORKERS)], 0
    for name, parameter in parameters:
        for worker in range(WORKERS):
            views[worker][name] = gradients[worker, offset:offset + parameter.numel()].view_as(parameter)
        parameter.grad = views[rank][name]
        offset += parameter.numel()
    own = split(parameters)[rank]
    averages = dict(average.named_parameters())
    optimizer = Optimizer(own, job.is_matrix)
    if saved["optimizers"]:
        optimizer.load(saved["optimizers"][rank])
    job.start(rank, saved["step"])
    step, before, started = saved["step"], saved["seconds"], time.time()
    logged, saved_at, losses = time.time(), time.time(), []
    first_step = step
    while True:
        if rank == 0:
            shared[0] = before + time.time() - started
        progress = float(shared[0]) / job.seconds
        gradients[rank].zero_()
        loss = job.loss(model, progress)
        loss.backward()
        losses.append(float(loss.detach()))
        barrier.wait()
        seconds = float(shared[0])
        progress = min(1.0, seconds / job.seconds)
        rate = learning_rate(progress, step, job.rate, job.warm_up, job.flat)
        optimizer.step({n: (views[0][n] + views[1][n]) / WORKERS for n, _ in own}, rate)
        with torch.no_grad():
            decay = min(job.average_decay, (step + 1) / (step + 10))
            for name, parameter in own:
                averages[name].lerp_(parameter, 1 - decay)
        step += 1
        barrier.wait()
        if rank == 0 and time.time() - logged > 20:
            speed = (step - first_step) * job.batch * WORKERS / (time.time() - started)
            print(f"{job.name} {seconds / 60:6.2f} min  step {step}  rate {rate:.2e}  loss {sum(losses) / len(losses):.5f}"
                  f"  {speed:.1f} samples/s  {job.note()}", flush=True)
            logged, losses = time.time(), []
        finished = seconds >= job.seconds
        if rank == 0:
            shared[1] = float(finished or time.time() - saved_at > job.save_every)
        barrier.wait()
        if shared[1]:
            torch.save(optimizer.state(), f"{job.checkpoint}.{rank}.tmp")
            barrier.wait()
            if rank == 0:
                states = [torch.load(f"{job.checkpoint}.{r}.tmp") for r in range(WORKERS)]
                torch.save({"model": model.state_dict(), "average": average.state_dict(), "optimizers": states,
                            "step": step, "seconds": seconds}, f"{job.checkpoint}.tmp")
                job.checkpoint.with_name(job.checkpoint.name + ".tmp").rename(job.checkpoint)
            saved_at = time.time()
            barrier.wait()
        if finished:
            return


def train(job, model, average):
    """Trains `model` for job.seconds in all, going on from job.checkpoint where there is one; returns its moving average."""
    saved = {"step": 0, "seconds": 0.0, "optimizers": None}
    if job.checkpoint.exists():
        saved = torch.load(job.checkpoint)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
    else:
        average.load_state_dict(model.state_dict())
    if saved["seconds"] < job.seconds:
        model.share_memory()
        average.share_memory()
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        gradients = torch.zeros(WORKERS, count).share_memory_()
        shared = torch.zeros(2, dtype=torch.float64).share_memory_()
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(WORKERS)
        state = {key: saved[key] for key in ("step", "seconds", "optimizers")}
        multiprocessing.start_processes(_work, (barrier, job, model, average, gradients, shared, state), nprocs=WORKERS)
    return average
