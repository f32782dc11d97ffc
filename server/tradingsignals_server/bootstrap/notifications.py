"""Notifications: the endpoints that callers manage, and the delivery to them."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from uuid import uuid4

from ..adapters.notifications.webhook import WebhookSender
from ..api.encoding.stream_text import notification_body
from ..application.event_log.follower import Followers
from ..application.event_log.group import ResponseLimits
from ..application.event_log.tail import LogTail
from ..application.notifications.delivery import Delivering
from ..application.notifications.dispatcher import Dispatcher
from ..application.notifications.messages import BodyEncoding
from ..application.notifications.service import EndpointService
from ..application.ports.notifications import EndpointStore, NotificationObserver
from ..config.settings import Settings
from .engine import utc_now


@dataclass(frozen=True, slots=True)
class Notifications:
    """What manages endpoints, and what delivers to them."""

    endpoints: EndpointService
    dispatcher: Dispatcher


def build_notifications(
    settings: Settings, store: EndpointStore, log_tail: LogTail, observer: NotificationObserver | None = None
) -> Notifications:
    """Build what sends to the endpoints of `store`."""
    sender = WebhookSender(settings.webhook_networks, utc_now)
    shared = Delivering(
        store=store,
        sender=sender,
        log_tail=log_tail,
        followers=Followers(log_tail, limits=ResponseLimits(entries=1)),
        encoding=BodyEncoding(notification_body),
        clock=utc_now,
        chance=random.random,
        observer=observer,
    )
    service = EndpointService(
        store, sender, log_tail, utc_now, secrets.token_bytes, uuid4, allow_http=bool(settings.webhook_networks)
    )
    return Notifications(service, Dispatcher(shared))
