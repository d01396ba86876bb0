package otel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Trace is for Options.Trace: it begins a span for each load, in a new trace
// that is linked to the span of the caller who began the load. What the loader
// does with its context belongs to that span; a load inside a load links to its
// parent's.
//
// The span ends when the load's goroutine has ended, or at the load's deadline.
// It has the status Error when the load was cut off, by its deadline, by the
// end of the cache or because nobody waited any more, with the cause. Of an
// error that the loader returned it knows nothing: loaders record their own.
func Trace(tracer trace.Tracer, cache string) func(load, caller context.Context) context.Context {
	return func(load, caller context.Context) context.Context {
		options := []trace.SpanStartOption{
			trace.WithNewRoot(),
			trace.WithSpanKind(trace.SpanKindInternal),
			trace.WithAttributes(attribute.String("cache", cache)),
		}
		if link := trace.SpanContextFromContext(caller); link.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: link}))
		}
		traced, span := tracer.Start(load, "corral load", options...)
		context.AfterFunc(load, func() {
			if cause := context.Cause(load); !errors.Is(cause, context.Canceled) {
				span.RecordError(cause)
				span.SetStatus(codes.Error, cause.Error())
			}
			span.End()
		})
		return traced
	}
}
