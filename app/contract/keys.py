"""Every Redis key of the queue.

All keys start with the same hash tag, `{blockcache}` unless another prefix is configured, so that
one cluster shard holds them all. `…` stands for that tag.

| key             | type    | holds                                      | owner  | TTL       |
|-----------------|---------|--------------------------------------------|--------|-----------|
| …:job:<id>      | hash    | one job, its state and outcome (see below) | queue  | when over |
| …:images:<id>   | list    | a finished job's pictures, in seed order   | queue  | result    |
| …:previews:<id> | list    | a job's first picture at stages on its way | queue  | result    |
| …:ready:<lane>  | zset    | queued job ids by deadline (unix ms)       | queue  | -         |
| …:arrivals:     | list    | latest 32 requests, refused ones too, each | queue  | 60 s      |
|          <lane> |         | `unix ms:pictures:budget ms:met others`    |        |           |
| …:crew:<lane>   | zset    | a lane's workers by end of their card      | worker | 10 × card |
| …:work:<lane>   | hash    | queued job id -> predicted ms              | queue  | -         |
| …:models        | set     | lanes that have queued jobs                | queue  | -         |
| …:leases        | zset    | running job ids by lease end (unix ms)     | queue  | -         |
| …:dead          | zset    | dead letters by time of death (unix ms)    | queue  | dead      |
| …:bell:<lane>   | list    | a few tokens; a push wakes a worker        | queue  | 60 s      |
| …:card:<worker> | string  | a worker's card as JSON                    | worker | card      |
| …:workers       | zset    | workers by end of their card (unix ms)     | worker | 10 × card |
| …:book:<digest> | string  | a plan book as JSON                        | worker | book      |
| …:over          | channel | ids of jobs with an outcome or a preview   | -      | -         |
| …:events:<id>   | stream  | what happened to a job, latest 1024        | queue  | result    |
| …:told          | channel | ids of jobs as something happens to them   | -      | -         |
| …:live:<owner>  | set     | an owner's queued and running jobs         | queue  | -         |
| …:once:<name>   | hash    | `job` and `fingerprint` of one idempotency | queue  | job       |
|                 |         | key; the name is a hash of owner and key   |        |           |
| …:rate:<owner>  | zset    | requests of the last minute by time        | gateway| 60 s      |
| …:tag:<digest>  | zset    | latest ids of jobs of one caller by time   | queue  | result    |
| …:hooks         | zset    | ended jobs whose end is still to be told   | queue  | hook      |
|                 |         | to a webhook, by when it is tried next     |        |           |

A lane is one model at one size, `<width>x<height>:<model>`. Workers of a version that knew no lanes
use the model's name instead; while one lives, jobs of its model wait under that name, too.

Owner "queue": the scripts that move a job keep the key in step with its state and empty keys vanish
by themselves. A job hash has no TTL while the job is queued or running; it gets the result TTL with
its outcome, or the dead TTL as a dead letter. Cards, books, results and dead letters take their
TTLs from `QueueSettings`. A stream lives an hour from its latest entry until its job is over. An
idempotency key has as long a TTL as a job can last, and is worth nothing without its job.

Fields of a job hash: `payload` (the job as JSON; removed with the outcome except of dead letters),
`model`, `lane`, `class`, `images`, `predicted_ms`, `quality` (of its plan), `floor` (least quality
asked for), `steps`, `state`, `attempt` (claims so far), `token` (fence: every claim and every lost
lease raises it), `step` (finished steps), `created` and `deadline` (unix ms), `owner` (unless it is
nobody's), `worker`, `cancel` (set: its worker shall stop), `outcome` (JSON of the result when done,
of the failure otherwise). With a webhook also `webhook` (its URL), `hook_tries` (deliveries begun
since the end) and `hook_token` (fence of the one that is under way); such a job is kept for the
hook TTL of 12 hours until its end was told.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds the keys of one service; `prefix` becomes the hash tag."""

    prefix: str = "blockcache"

    def job(self, job_id: str) -> str:
        """Name the hash of one job."""
        return self._key("job", job_id)

    def images(self, job_id: str) -> str:
        """Name the list of a finished job's pictures."""
        return self._key("images", job_id)

    def previews(self, job_id: str) -> str:
        """Name the list of previews of a job's first picture."""
        return self._key("previews", job_id)

    def tag(self, digest: str) -> str:
        """Name the sorted set of the jobs that were given one tag."""
        return self._key("tag", digest)

    def ready(self, lane: str) -> str:
        """Name the sorted set of a lane's queued jobs by deadline."""
        return self._key("ready", lane)

    def arrivals(self, lane: str) -> str:
        """Name the list of a lane's latest requests."""
        return self._key("arrivals", lane)

    def crew(self, lane: str) -> str:
        """Name the sorted set of a lane's workers."""
        return self._key("crew", lane)

    def work(self, lane: str) -> str:
        """Name the hash of predicted milliseconds of a lane's queued jobs."""
        return self._key("work", lane)

    @property
    def models(self) -> str:
        """The set of lanes that have queued jobs."""
        return self._key("models")

    @property
    def leases(self) -> str:
        """The sorted set of running jobs by lease end."""
        return self._key("leases")

    @property
    def dead(self) -> str:
        """The sorted set of dead letters by time of death."""
        return self._key("dead")

    def bell(self, lane: str) -> str:
        """Name the list that wakes workers waiting for a lane's jobs."""
        return self._key("bell", lane)

    def card(self, worker: str) -> str:
        """Name the string that holds a worker's card."""
        return self._key("card", worker)

    @property
    def workers(self) -> str:
        """The sorted set of workers by end of their card."""
        return self._key("workers")

    def book(self, digest: str) -> str:
        """Name the string that holds a plan book."""
        return self._key("book", digest)

    @property
    def over(self) -> str:
        """The channel that carries the ids of jobs that came to an outcome or have a preview."""
        return self._key("over")

    def events(self, job_id: str) -> str:
        """Name the stream of what happened to a job."""
        return self._key("events", job_id)

    @property
    def told(self) -> str:
        """The channel that carries the ids of jobs to which something happened."""
        return self._key("told")

    def live(self, owner: str) -> str:
        """Name the set of an owner's queued and running jobs."""
        return self._key("live", owner)

    def once(self, name: str) -> str:
        """Name the hash that says which job an idempotency key stands for."""
        return self._key("once", name)

    def rate(self, owner: str) -> str:
        """Name the sorted set of an owner's latest requests."""
        return self._key("rate", owner)

    @property
    def hooks(self) -> str:
        """The sorted set of jobs whose end is to be told to a webhook, by time of the next try."""
        return self._key("hooks")

    def for_scripts(self) -> list[str]:
        """Return KEYS as the scripts name them; a family is given by its common beginning."""
        return [
            self.job(""), self.images(""), self.ready(""), self.arrivals(""), self.crew(""),
            self.work(""), self.models, self.leases, self.dead, self.bell(""), self.card(""),
            self.workers, self.book(""), self.over, self.events(""), self.told, self.live(""),
            self.once(""), self.rate(""), self.previews(""), self.hooks,
        ]  # fmt: skip

    def _key(self, *parts: str) -> str:
        return ":".join((f"{{{self.prefix}}}", *parts))
