#!/usr/bin/env python3
"""What cardhook takes beyond one machine: replicas, partitions and bursts, from the figures that benches/run.sh --sizing measures.

A queue for each replica, fed by pushes whose openid chooses the replica (as deploy/nginx.conf routes) and the partition (as the
producer does). Nothing but Python's own library:

    benches/simulate.py --cpu-us 50 --cores 2 --ack-ms 3
"""
import argparse
import hashlib
import heapq
import random

LIMIT_S = 4.0  # every answer leaves within it, or is 503


def place(openid: int, parts: int) -> int:
    """Which of `parts` an openid goes to, evenly as a hash does."""
    return int.from_bytes(hashlib.blake2b(openid.to_bytes(8, "big"), digest_size=8).digest(), "big") % parts


def arrivals(rate: float, seconds: float, users: int, random_: random.Random):
    """(second, openid) of a Poisson stream; a user pushes twice or three times, as received and consumed do."""
    at = 0.0
    while (at := at + random_.expovariate(rate)) < seconds:
        yield at, random_.randrange(users)


def simulate(stream, replicas: int, cores: int, cpu_s: float, ack_s: float, partitions: int):
    """Serves a stream; (time from arrival to answer of each push, share of the busiest replica, of the busiest partition)."""
    free = [[0.0] * cores for _ in range(replicas)]
    for workers in free:
        heapq.heapify(workers)
    took, by_replica, by_partition = [], [0] * replicas, [0] * partitions
    for at, openid in stream:
        replica = place(openid, replicas)
        by_replica[replica] += 1
        by_partition[place(openid ^ 0x5BD1E995, partitions)] += 1
        begun = max(at, heapq.heappop(free[replica]))
        heapq.heappush(free[replica], begun + cpu_s)
        took.append(begun + cpu_s + ack_s - at)
    took.sort()
    return took, max(by_replica) / max(1, len(took)) * replicas, max(by_partition) / max(1, len(took)) * partitions


def quantile(took, of_hundred: float) -> float:
    return took[min(len(took) - 1, int(len(took) * of_hundred / 100))] if took else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu-us", type=float, required=True, help="CPU of one event, µs (benches/run.sh --sizing)")
    parser.add_argument("--ack-ms", type=float, required=True, help="from the hand-over to the answer, ms (p50 there)")
    parser.add_argument("--cores", type=int, default=2, help="of each replica")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cpu_s, ack_s = given.cpu_us / 1e6, given.ack_ms / 1e3

    print("| pushes/s | replicas × cores | partitions | busiest replica | its cores in use | busiest partition | p50 ms | p99 ms | later than 4 s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate in (100, 1000, 10_000, 100_000):
        for replicas, partitions in ((1, 3), (3, 12), (30, 120)):
            use = rate / replicas * cpu_s / given.cores
            if use > 1.2:
                print(f"| {rate:,} | {replicas} × {given.cores} | {partitions} | – | over 100 % | – | – | – | it falls behind |")
                continue
            seconds = min(20.0, 400_000 / rate)
            stream = arrivals(rate, seconds, users=max(1000, int(rate * seconds / 2)), random_=random.Random(given.seed))
            took, replica, partition = simulate(stream, replicas, given.cores, cpu_s, ack_s, partitions)
            late = sum(time > LIMIT_S for time in took)
            print(
                f"| {rate:,} | {replicas} × {given.cores} | {partitions} | {replica:.2f} × the mean | {100 * use * replica:.1f} % |"
                f" {partition:.2f} × the mean | {1e3 * quantile(took, 50):.2f} | {1e3 * quantile(took, 99):.2f} | {late} |"
            )

    # The largest burst that is known: 7,000 pushes in a minute, here all in its first second.
    random_ = random.Random(given.seed)
    stream = sorted((random_.random(), random_.randrange(7000)) for _ in range(7000))
    took, _, _ = simulate(stream, 1, given.cores, cpu_s, ack_s, 3)
    print(f"\n7,000 pushes within one second, one replica: p50 {1e3 * quantile(took, 50):.1f} ms, the last {1e3 * took[-1]:.1f} ms")


if __name__ == "__main__":
    main()
