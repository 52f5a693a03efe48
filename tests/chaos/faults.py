"""What goes wrong: a table of faults, each of which is over, or healed, when it returns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.chaos.cluster import FAKETIME

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.chaos.cluster import Cluster

    Fault = Callable[[Cluster, Random], None]

# Around the lease of 1.5 s, and around the 5 s after which a client of the store gives up.
SHORT_S, LEASE_S, LONG_S = (0.2, 2.5), (1.0, 4.0), (0.2, 7.0)


def kill_worker(cluster: Cluster, random: Random) -> None:
    cluster.kill_worker(random.randrange(len(cluster.workers)))


def kill_gateway(cluster: Cluster, random: Random) -> None:
    cluster.kill_gateway(random.randrange(len(cluster.gateways)))


def restart_store(cluster: Cluster, _: Random) -> None:
    cluster.restart_store()


def pause_worker(cluster: Cluster, random: Random) -> None:
    cluster.pause(random.choice(cluster.workers), random.uniform(*LEASE_S))


def pause_gateway(cluster: Cluster, random: Random) -> None:
    cluster.pause(random.choice(cluster.gateways).pid, random.uniform(*SHORT_S))


def pause_store(cluster: Cluster, random: Random) -> None:
    cluster.pause(cluster.store.pid, random.uniform(*SHORT_S))


def slow_network(cluster: Cluster, random: Random) -> None:
    proxy = random.choice(cluster.proxies)
    proxy.latency_s = random.uniform(0.02, 0.3)
    time.sleep(random.uniform(*SHORT_S))
    proxy.heal()


def black_hole(cluster: Cluster, random: Random) -> None:
    proxy = random.choice(cluster.proxies)
    proxy.swallow()
    time.sleep(random.uniform(*LONG_S))
    proxy.heal()


def reset_connections(cluster: Cluster, random: Random) -> None:
    random.choice(cluster.proxies).reset()


def lose_replies(cluster: Cluster, random: Random) -> None:
    for proxy in cluster.proxies:
        proxy.lost_replies = random.randint(1, 20)
    time.sleep(random.uniform(*SHORT_S))
    for proxy in cluster.proxies:
        proxy.heal()


def jump_clock(cluster: Cluster, random: Random) -> None:
    cluster.set_clock(random.uniform(-30, 30))


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    kill_gateway,
    restart_store,
    pause_worker,
    pause_gateway,
    pause_store,
    slow_network,
    black_hole,
    reset_connections,
    lose_replies,
    *([jump_clock] if FAKETIME else []),
)


def faults(number: int, random: Random) -> list[Fault]:
    """Return so many faults in random order, every kind as often as any other, give or take one."""
    rounds = -(-number // len(FAULTS))
    chosen = [fault for _ in range(rounds) for fault in random.sample(FAULTS, len(FAULTS))]
    return chosen[:number]
