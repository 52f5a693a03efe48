# Stands in for prom/prometheus and prom/alertmanager: Debian's builds under the same names.
ARG BASE
FROM ${BASE} AS both
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager wget >/dev/null \
 && rm -rf /var/lib/apt/lists/* && ln -s prometheus-alertmanager /usr/bin/alertmanager \
 && mkdir /prometheus /alertmanager && chown 65534:65534 /prometheus /alertmanager
USER 65534:65534

FROM both AS prometheus
ENTRYPOINT ["/usr/bin/prometheus"]

FROM both AS alertmanager
ENTRYPOINT ["/usr/bin/alertmanager"]
