"""Rights: what each method takes, and which of them a role has. What is not listed is denied."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

OPEN = ""  # in place of a right: whoever reaches the port may call this


class Right(StrEnum):
    """What may be done, by one method or several that mean the same."""

    DECIDE = "decide"
    RECORD = "record"
    CONVERSE = "converse"
    SET_PREFERENCES = "set-preferences"
    READ_CUSTOMER = "read-customer"
    EXPORT_CUSTOMER = "export-customer"
    ERASE_CUSTOMER = "erase-customer"
    EXPLAIN = "explain"
    READ_ITEMS = "read-items"
    WRITE_ITEMS = "write-items"
    READ_MODELS = "read-models"
    REFLECT = "reflect"


class Role(StrEnum):
    """What a caller is for."""

    FRONTEND = "frontend"
    CUSTOMER_CARE = "customer-care"
    CATALOG = "catalog"
    OPERATOR = "operator"


METHODS: Mapping[str, str] = {
    "interplay.v1.PersonalizationService/DecideInteraction": Right.DECIDE,
    "interplay.v1.PersonalizationService/RecordInteractions": Right.RECORD,
    "interplay.v1.PersonalizationService/Converse": Right.CONVERSE,
    "interplay.v1.CustomerService/SetPreferences": Right.SET_PREFERENCES,
    "interplay.v1.CustomerService/GetCustomer": Right.READ_CUSTOMER,
    "interplay.v1.CustomerService/ExportCustomer": Right.EXPORT_CUSTOMER,
    "interplay.v1.CustomerService/EraseCustomer": Right.ERASE_CUSTOMER,
    "interplay.v1.DecisionService/ExplainDecision": Right.EXPLAIN,
    "interplay.v1.CatalogService/GetItem": Right.READ_ITEMS,
    "interplay.v1.CatalogService/UpsertItems": Right.WRITE_ITEMS,
    "interplay.v1.CatalogService/DeleteItems": Right.WRITE_ITEMS,
    "interplay.v1.ModelService/GetModel": Right.READ_MODELS,
    "interplay.v1.ModelService/ListModels": Right.READ_MODELS,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Right.REFLECT,
    "grpc.health.v1.Health/Check": OPEN,
    "grpc.health.v1.Health/Watch": OPEN,
}
"""A server does not start with a method that is missing here."""

ROLES: Mapping[Role, frozenset[Right]] = {
    Role.FRONTEND: frozenset(
        {Right.DECIDE, Right.RECORD, Right.CONVERSE, Right.SET_PREFERENCES, Right.READ_ITEMS}
    ),
    Role.CUSTOMER_CARE: frozenset(
        {
            Right.READ_CUSTOMER,
            Right.EXPORT_CUSTOMER,
            Right.ERASE_CUSTOMER,
            Right.SET_PREFERENCES,
            Right.EXPLAIN,
        }
    ),
    Role.CATALOG: frozenset({Right.READ_ITEMS, Right.WRITE_ITEMS}),
    Role.OPERATOR: frozenset({Right.READ_MODELS, Right.READ_ITEMS, Right.REFLECT}),
}


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """What these roles may do together."""
    return frozenset[Right]().union(*(ROLES[each] for each in roles))
