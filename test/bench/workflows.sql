-- The workflows of the benchmarks: order waits for an event with a value of its
-- own, nap sleeps, ten takes steps in a row.
SELECT event_engine.register_event_definition('order.paid');
CREATE FUNCTION bench.order(i event_engine.workflow_instance,
        r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF i.step = 'start' THEN
        RETURN event_engine.wait_for('order.paid',
            '$.payload.order == $workflow.input.order', next_step => 'paid');
    END IF;
    RETURN event_engine.complete();
END $$;
CREATE FUNCTION bench.nap(i event_engine.workflow_instance,
        r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF i.step = 'start' THEN
        RETURN event_engine.sleep_until((i.input ->> 'until')::timestamptz,
            next_step => 'over');
    END IF;
    RETURN event_engine.complete();
END $$;
CREATE FUNCTION bench.ten(i event_engine.workflow_instance,
        r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF i.steps = 9 THEN
        RETURN event_engine.complete();
    END IF;
    RETURN event_engine.continue_with('step ' || i.steps + 2);
END $$;
SELECT event_engine.register_workflow(w, 'bench.' || w)
    FROM unnest('{order,nap,ten}'::text[]) AS w;
