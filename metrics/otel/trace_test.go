package otel_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/metrics/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
)

// traced runs a test in virtual time on a cache whose loads are traced.
func traced(t *testing.T, load corral.Loader[string], test func(t *testing.T, c *corral.Cache[string], tracer api.Tracer, spans *tracetest.InMemoryExporter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tracer := trace.NewTracerProvider(trace.WithSyncer(spans)).Tracer("test")
		c, err := corral.New(load, corral.Options[string]{
			TTL: time.Minute, MaxBytes: 1 << 20, Jitter: -1, Now: time.Now, Trace: otel.Trace(tracer, "products"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		test(t, c, tracer, spans)
	})
}

func TestALoadsSpanIsARootThatLinksToTheCallers(t *testing.T) {
	traced(t, corraltest.Slow(time.Second, corraltest.Value("v")), func(t *testing.T, c *corral.Cache[string], tracer api.Tracer, spans *tracetest.InMemoryExporter) {
		ctx, caller := tracer.Start(t.Context(), "request")
		c.Get(ctx, "a")
		synctest.Wait()
		got := spans.GetSpans()
		if len(got) != 1 {
			t.Fatalf("%d spans, want 1", len(got))
		}
		span := got[0]
		if span.Parent.IsValid() || span.SpanContext.TraceID() == caller.SpanContext().TraceID() {
			t.Error("the load's span is in the caller's trace")
		}
		if len(span.Links) != 1 || !span.Links[0].SpanContext.Equal(caller.SpanContext()) {
			t.Errorf("got the links %v, want one to the caller's span", span.Links)
		}
		if took := span.EndTime.Sub(span.StartTime); took != time.Second || span.Status.Code != codes.Unset {
			t.Errorf("the span took %v with the status %v, want 1s and none", took, span.Status)
		}
		c.Get(ctx, "a")
		if n := len(spans.GetSpans()); n != 1 {
			t.Errorf("%d spans after a hit, want 1", n)
		}
	})
}

func TestWhatALoaderDoesBelongsToTheLoadsSpan(t *testing.T) {
	var inside api.SpanContext
	load := corral.Func(func(ctx context.Context, _ string) (string, error) {
		inside = api.SpanContextFromContext(ctx)
		return "v", nil
	})
	traced(t, load, func(t *testing.T, c *corral.Cache[string], _ api.Tracer, spans *tracetest.InMemoryExporter) {
		c.Get(t.Context(), "a")
		synctest.Wait()
		span := spans.GetSpans()[0]
		if !inside.Equal(span.SpanContext) {
			t.Error("the loader's context is not in the load's span")
		}
		if len(span.Links) != 0 {
			t.Errorf("got the links %v of a caller without a span", span.Links)
		}
	})
}

func TestALoadThatIsCutOffSaysWhy(t *testing.T) {
	traced(t, corraltest.Hang[string](), func(t *testing.T, c *corral.Cache[string], _ api.Tracer, spans *tracetest.InMemoryExporter) {
		if _, err := c.Get(t.Context(), "a"); !errors.Is(err, corral.ErrLoadTimeout) {
			t.Fatal(err)
		}
		synctest.Wait()
		span := spans.GetSpans()[0]
		if span.Status.Code != codes.Error || span.Status.Description != corral.ErrLoadTimeout.Error() || span.EndTime.Sub(span.StartTime) != 30*time.Second {
			t.Fatalf("got the status %+v after %v, want %v after 30s", span.Status, span.EndTime.Sub(span.StartTime), corral.ErrLoadTimeout)
		}
	})
}

func TestALoadInsideALoadLinksToItsParent(t *testing.T) {
	var c *corral.Cache[string]
	load := corral.Func(func(ctx context.Context, key string) (string, error) {
		if key == "outer" {
			return c.Get(ctx, "inner")
		}
		return key, nil
	})
	traced(t, load, func(t *testing.T, cache *corral.Cache[string], _ api.Tracer, spans *tracetest.InMemoryExporter) {
		c = cache
		c.Get(t.Context(), "outer")
		synctest.Wait()
		got := spans.GetSpans()
		if len(got) != 2 {
			t.Fatalf("%d spans, want 2", len(got))
		}
		outer, inner := got[0], got[1]
		if len(outer.Links) > 0 { // which of them is told first is left open
			outer, inner = inner, outer
		}
		if len(inner.Links) != 1 || !inner.Links[0].SpanContext.Equal(outer.SpanContext) {
			t.Fatalf("the inner load's span has the links %v, want one to the outer's", inner.Links)
		}
	})
}

func ExampleTrace() {
	tracer := trace.NewTracerProvider().Tracer("shop") // a program's has an exporter
	ctx, request := tracer.Start(context.Background(), "GET /chair")
	products, err := corral.New(corral.Func(func(ctx context.Context, _ string) (string, error) {
		load := api.SpanFromContext(ctx).(trace.ReadOnlySpan)
		fmt.Println(load.Name(), load.Links()[0].SpanContext.Equal(request.SpanContext()))
		return "a chair", nil
	}), corral.Options[string]{Name: "products", TTL: time.Minute, MaxBytes: 64 << 20, Trace: otel.Trace(tracer, "products")})
	if err != nil {
		panic(err)
	}
	defer products.Close()
	products.Get(ctx, "chair")
	// Output: corral load true
}
