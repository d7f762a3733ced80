"""A collector of OpenTelemetry traces, which reads what it gets with OpenTelemetry's own types."""

import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from origin import Service, reply
from portcullis import wait_until


class Collector(Service):
    """Takes spans; `answers` are statuses that it gives before it takes any."""

    def __init__(self, port=0):
        self.lock = threading.Lock()
        self.requests, self.spans, self.answers, self.raw = [], [], [], b""
        super().__init__(port)

    def handle(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        with self.lock:
            self.requests.append((request.path, dict(request.headers.items())))
            self.raw += body
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.spans += [Span(span, got.resource) for got in decoded(body) for scope in got.scope_spans for span in scope.spans]
        reply(request, b"", status)

    def span(self, kind="SERVER", **having):
        """The one span of that kind with these attributes or properties, `_` for `.` in their names; waits for it."""

        def found():
            with self.lock:
                spans = [span for span in self.spans if span.kind == kind and span.has(having)]
            assert len(spans) < 2, spans
            return spans

        return wait_until(found, f"a span with {having}")[0]


def decoded(body):
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    # What has no name there would be kept apart, and is nothing the gate should write.
    assert request.SerializeToString() and not unknown(request), request
    return request.resource_spans


def unknown(message):
    again = type(message)()
    again.CopyFrom(message)
    again.DiscardUnknownFields()
    return again.ByteSize() != message.ByteSize()


class Span:
    def __init__(self, span, resource):
        self.proto = span
        self.name, self.state = span.name, span.trace_state
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.kind = {2: "SERVER", 3: "CLIENT"}[span.kind]
        self.attributes, self.resource = values(span.attributes), values(resource.attributes)
        self.seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.failed = span.status.code == span.status.STATUS_CODE_ERROR
        self.events = {event.name: (event.time_unix_nano, values(event.attributes)) for event in span.events}
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]

    def __getitem__(self, name):
        return self.attributes[name]

    def __repr__(self):
        return f"{self.kind} {self.name} {self.trace} {self.attributes}"

    def has(self, having):
        named = {name.replace(".", "_"): value for name, value in self.attributes.items()}
        return all(named.get(name, getattr(self, name, None)) == value for name, value in having.items())


def values(pairs):
    found = {}
    for pair in pairs:
        assert pair.key not in found, pair.key
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return found
