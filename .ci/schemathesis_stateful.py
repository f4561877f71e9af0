"""For the stateful phase, which takes it for a fault if what was deleted is still answered with.

A caller that allows a stale answer (`stale_ms`) may get just that, so nobody allows one here. The other phases do.
"""

import schemathesis


@schemathesis.hook
def map_query(context, query):
    return {name: value for name, value in query.items() if name != "stale_ms"} if query else query
